-- Where a hold-out began before, and since when it begins later: it moved past every look that there was by then.
CREATE TABLE holdout_moves (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    from_ms INTEGER NOT NULL,
    to_ms INTEGER NOT NULL,
    time TIMESTAMP NOT NULL,
    CHECK (from_ms < to_ms)
);
CREATE INDEX idx_holdout_moves_lineage ON holdout_moves(venue, symbol, id);

-- What bots did with packages; of each bot and market the newest says what it runs.
CREATE TABLE package_acks (
    id INTEGER PRIMARY KEY,
    package_id VARCHAR(50) NOT NULL REFERENCES parameter_packages(id),
    venue TEXT NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    timeframe TEXT NOT NULL,
    strategy_id VARCHAR(50) NOT NULL,
    user TEXT NOT NULL,
    client TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('applied', 'refused')),
    reason TEXT NOT NULL,
    time TIMESTAMP NOT NULL
);
CREATE INDEX idx_package_acks_package ON package_acks(package_id, id);
CREATE INDEX idx_package_acks_bot ON package_acks(symbol, venue, timeframe, strategy_id, user, client, id);
