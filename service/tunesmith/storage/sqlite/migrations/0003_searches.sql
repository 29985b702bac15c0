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

-- What a search was asked for is a plan from now on.
UPDATE tasks SET request = json_set(
    json_remove(
        request, '$.ranges', '$.target', '$.method', '$.max_iterations', '$.seed', '$.n_trials', '$.constraints'
    ),
    '$.plan', json_object(
        'target', request ->> '$.target',
        'method', request ->> '$.method',
        'n_trials', request ->> '$.n_trials',
        'seed', request ->> '$.seed',
        'ranges', json(request -> '$.ranges'),
        'bounds', json((
            SELECT json_group_array(
                json_array(c.column1, c.column2, request -> '$.constraints' ->> c.column1, json(c.column3))
            )
            FROM (VALUES
                ('min_trades', 'n_trades', 'true'), ('min_return', 'total_return', 'true'),
                ('min_sharpe', 'sharpe', 'true'), ('max_drawdown', 'max_drawdown', 'false'),
                ('min_win_rate', 'win_rate', 'true'), ('min_profit_factor', 'profit_factor', 'true')
            ) AS c
            WHERE request -> '$.constraints' ->> c.column1 IS NOT NULL
        ))
    )
) WHERE kind = 'optimization' AND request -> '$.plan' IS NULL AND request -> '$.target' IS NOT NULL;

UPDATE trials SET
    score = CASE (SELECT t.request ->> '$.plan.target' FROM tasks AS t WHERE t.id = optimization_id)
        WHEN 'total_return' THEN total_return WHEN 'annual_return' THEN annual_return WHEN 'sharpe' THEN sharpe
        WHEN 'sortino' THEN sortino WHEN 'calmar' THEN calmar WHEN 'max_drawdown' THEN max_drawdown
        WHEN 'volatility' THEN volatility WHEN 'n_trades' THEN n_trades WHEN 'win_rate' THEN win_rate
        WHEN 'profit_factor' THEN profit_factor WHEN 'expectancy' THEN expectancy WHEN 'exposure' THEN exposure
    END,
    eligible = NOT EXISTS (
        SELECT 1 FROM tasks AS t, json_each(t.request, '$.plan.bounds') AS b
        WHERE t.id = optimization_id AND NOT coalesce(
            (CASE b.value ->> 1
                WHEN 'n_trades' THEN n_trades WHEN 'total_return' THEN total_return WHEN 'sharpe' THEN sharpe
                WHEN 'max_drawdown' THEN max_drawdown WHEN 'win_rate' THEN win_rate
                ELSE profit_factor
            END - (b.value ->> 2)) * iif(b.value ->> 3, 1, -1) >= 0, 0)
    );
UPDATE trials SET eligible = 0 WHERE score IS NULL;

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
