-- Every search, walk-forward and single backtest, in the order in which they began: a later verdict counts them. The
-- task says who asked for what; it cannot be removed while its row is here, and rows here are never removed, so that
-- their ids only grow.
-- n_made: trials made. n_at_end: how many a task has made once it is completed; NULL where trials are stored one by one.
-- visible_from: the highest id there was when its first result could be seen; who began later may have seen it.
CREATE TABLE counted_searches (
    id INTEGER PRIMARY KEY,
    task_id TEXT NOT NULL UNIQUE REFERENCES tasks(id),
    n_at_end INTEGER,
    n_made INTEGER NOT NULL DEFAULT 0,
    visible_from INTEGER
);
-- The markets that each was made on, and the time [start_ms, end_ms) of their bars.
CREATE TABLE counted_markets (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    counted_id INTEGER NOT NULL REFERENCES counted_searches(id),
    timeframe TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, counted_id)
) WITHOUT ROWID;

-- Results of others that were delivered to a user: at_id is the highest id there was then.
CREATE TABLE opened_searches (
    user TEXT NOT NULL,
    counted_id INTEGER NOT NULL REFERENCES counted_searches(id),
    at_id INTEGER NOT NULL,
    time TIMESTAMP NOT NULL,
    PRIMARY KEY (user, counted_id)
) WITHOUT ROWID;

-- What searches find on permuted markets. Only a cache: what is not here is computed again, to the bit.
CREATE TABLE null_vectors (
    counted_id INTEGER NOT NULL,
    ground TEXT NOT NULL,
    n INTEGER NOT NULL,
    made_at TIMESTAMP NOT NULL,
    v BLOB NOT NULL,
    places BLOB,
    links BLOB,
    PRIMARY KEY (counted_id, ground)
);
CREATE INDEX idx_null_vectors_made_at ON null_vectors(made_at);

-- What an older program has made. When the first trial of a search was there is not kept: it counts as seen by all who
-- began after it was started. A completed search has made its trials, also where they were cleaned away since.
INSERT INTO counted_searches (task_id, n_at_end, n_made)
SELECT t.id,
    CASE t.kind
        WHEN 'backtest' THEN 1
        WHEN 'walkforward' THEN (t.request ->> '$.n_windows') * (t.request ->> '$.plan.n_trials')
    END,
    CASE
        WHEN t.kind = 'optimization' AND t.status = 'completed' THEN o.n_trials
        WHEN t.kind = 'optimization'
            THEN coalesce((SELECT max(r.idx) + 1 FROM trials AS r WHERE r.optimization_id = t.id), 0)
        WHEN t.status <> 'completed' THEN 0
        WHEN t.kind = 'backtest' THEN 1
        ELSE (t.request ->> '$.n_windows') * (t.request ->> '$.plan.n_trials')
    END
FROM tasks AS t LEFT JOIN optimization_tasks AS o ON o.id = t.id
WHERE t.request ->> '$.window.venue' IS NOT NULL AND t.request -> '$.strategy' IS NOT NULL AND (
    (t.kind = 'backtest' AND t.request -> '$.params' IS NOT NULL)
    OR (t.kind = 'walkforward' AND t.request -> '$.plan' IS NOT NULL)
    OR (t.kind = 'optimization' AND t.request -> '$.plan' IS NOT NULL AND o.id IS NOT NULL)
)
ORDER BY t.created_at, t.rowid;

INSERT OR IGNORE INTO counted_markets (venue, symbol, counted_id, timeframe, start_ms, end_ms)
SELECT w.value ->> '$.venue', w.value ->> '$.symbol', c.id, w.value ->> '$.timeframe',
    w.value ->> '$.start_ms', w.value ->> '$.end_ms'
FROM counted_searches AS c JOIN tasks AS t ON t.id = c.task_id,
    json_each(json_insert(coalesce(t.request -> '$.others', '[]'), '$[#]', json(t.request -> '$.window'))) AS w;

UPDATE counted_searches SET visible_from = max(id, coalesce((
    SELECT c.id FROM tasks AS later CROSS JOIN counted_searches AS c ON c.task_id = later.id
    WHERE later.created_at <= (
        SELECT CASE own.kind WHEN 'optimization' THEN coalesce(own.started_at, own.created_at) ELSE own.completed_at END
        FROM tasks AS own WHERE own.id = counted_searches.task_id
    )
    ORDER BY later.created_at DESC LIMIT 1
), id)) WHERE n_made > 0;

CREATE TRIGGER counted_search_makes_trials AFTER UPDATE OF n_done ON optimization_tasks WHEN NEW.n_done > 0
BEGIN
    UPDATE counted_searches SET
        n_made = max(n_made, NEW.n_done, coalesce((SELECT max(idx) + 1 FROM trials WHERE optimization_id = NEW.id), 0)),
        visible_from = coalesce(visible_from, (SELECT max(id) FROM counted_searches))
    WHERE task_id = NEW.id;
END;
-- A search that ends early says how many trials it has; what workers made beyond them is thrown away.
CREATE TRIGGER counted_search_is_sized AFTER UPDATE OF n_trials ON optimization_tasks
BEGIN
    UPDATE counted_searches SET n_made = NEW.n_trials WHERE task_id = NEW.id AND n_made > NEW.n_trials;
END;
CREATE TRIGGER counted_task_is_completed AFTER UPDATE OF status ON tasks WHEN NEW.status = 'completed'
BEGIN
    UPDATE counted_searches SET
        n_made = max(n_made, n_at_end), visible_from = coalesce(visible_from, (SELECT max(id) FROM counted_searches))
    WHERE task_id = NEW.id AND n_at_end IS NOT NULL;
END;

CREATE TRIGGER counted_searches_are_not_removed BEFORE DELETE ON counted_searches
BEGIN
    SELECT RAISE(ABORT, 'what was searched counts for good');
END;
CREATE TRIGGER counted_searches_are_not_changed BEFORE UPDATE OF id, task_id, n_at_end ON counted_searches
BEGIN
    SELECT RAISE(ABORT, 'what was searched counts for good');
END;
CREATE TRIGGER counted_markets_are_not_removed BEFORE DELETE ON counted_markets
BEGIN
    SELECT RAISE(ABORT, 'what was searched counts for good');
END;
CREATE TRIGGER counted_markets_are_not_changed BEFORE UPDATE ON counted_markets
BEGIN
    SELECT RAISE(ABORT, 'what was searched counts for good');
END;
CREATE TRIGGER opened_searches_are_not_removed BEFORE DELETE ON opened_searches
BEGIN
    SELECT RAISE(ABORT, 'what was opened counts for good');
END;
CREATE TRIGGER opened_searches_are_not_changed BEFORE UPDATE ON opened_searches
BEGIN
    SELECT RAISE(ABORT, 'what was opened counts for good');
END;
