-- What is kept of every market that was worked on, so that it is known again under another name when its candles are
-- gone or replaced. Ids are never given twice. closes: daily closes, float64[2, n]; mark: see domain.market.market_marks.
CREATE TABLE market_marks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    data_hash TEXT NOT NULL,
    made_at TIMESTAMP NOT NULL,
    closes BLOB NOT NULL,
    mark BLOB NOT NULL
);
CREATE UNIQUE INDEX idx_market_marks_name ON market_marks(venue, symbol, timeframe, data_hash);

-- One market under two names, each way: what happens at theirs under the other name happens at scale * theirs +
-- offset_ms under this one. A negative scale runs backwards.
CREATE TABLE market_kin (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    kin_venue TEXT NOT NULL,
    kin_symbol TEXT NOT NULL,
    scale REAL NOT NULL,
    offset_ms INTEGER NOT NULL,
    r REAL NOT NULL,
    n INTEGER NOT NULL,
    known_at TIMESTAMP NOT NULL,
    PRIMARY KEY (venue, symbol, kin_venue, kin_symbol)
) WITHOUT ROWID;
CREATE TRIGGER market_kin_is_not_removed BEFORE DELETE ON market_kin
BEGIN
    SELECT RAISE(ABORT, 'what was one market stays one');
END;

-- Bars that had been used and were replaced by others: what was found on them before is no evidence any more.
CREATE TABLE market_renewals (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    time TIMESTAMP NOT NULL,
    user TEXT NOT NULL
);
CREATE INDEX idx_market_renewals_name ON market_renewals(venue, symbol, time);
