-- A trial keeps what its search made of it: the first score as it is read, whether it may be the best, all scores of a
-- search for several targets, and the metrics of each symbol of a search over several.
ALTER TABLE trials ADD COLUMN score REAL;
ALTER TABLE trials ADD COLUMN eligible INTEGER;
ALTER TABLE trials ADD COLUMN scores JSON;
ALTER TABLE trials ADD COLUMN by_symbol JSON;

CREATE INDEX idx_trials_failed ON trials(optimization_id) WHERE error IS NOT NULL;

-- Trials of unfinished searches were stored without scores; they are evaluated again.
DELETE FROM trials WHERE optimization_id IN (
    SELECT id FROM tasks WHERE kind = 'optimization' AND status IN ('pending', 'running')
);
UPDATE optimization_tasks SET n_done = 0 WHERE id IN (
    SELECT id FROM tasks WHERE kind = 'optimization' AND status IN ('pending', 'running')
);

ALTER TABLE optimization_results ADD COLUMN front JSON;
ALTER TABLE optimization_results ADD COLUMN stopped_by TEXT;

-- A session is a set of searches, one for each symbol and strategy.
CREATE TABLE tuning_sessions (
    id VARCHAR(50) PRIMARY KEY,
    mode TEXT NOT NULL,
    user TEXT NOT NULL,
    client TEXT,
    optimization_target TEXT NOT NULL,
    request JSON NOT NULL,
    n_items INTEGER NOT NULL,
    n_trials INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT 'created'
        CHECK (status IN ('created', 'pending', 'running', 'completed', 'failed', 'cancelled')),
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    completed_at TIMESTAMP
);
CREATE INDEX idx_tuning_sessions_created_at ON tuning_sessions(created_at DESC);

CREATE TABLE session_items (
    session_id VARCHAR(50) NOT NULL REFERENCES tuning_sessions(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    strategy_id VARCHAR(50) NOT NULL,
    n_trials INTEGER NOT NULL,
    request JSON NOT NULL,
    optimization_id VARCHAR(50) REFERENCES optimization_tasks(id),
    PRIMARY KEY (session_id, number)
) WITHOUT ROWID;
CREATE INDEX idx_session_items_optimization ON session_items(optimization_id);

-- While a session executes it is a task with the same id, whose status it follows.
CREATE TRIGGER session_follows_task AFTER UPDATE OF status ON tasks WHEN NEW.kind = 'session'
BEGIN
    UPDATE tuning_sessions
    SET status = NEW.status, started_at = coalesce(started_at, NEW.started_at), completed_at = NEW.completed_at
    WHERE id = NEW.id;
END;
