-- How many stored trials of a search could not be evaluated, counted as they are stored.
ALTER TABLE optimization_tasks ADD COLUMN n_failed INTEGER NOT NULL DEFAULT 0;
UPDATE optimization_tasks SET n_failed = (
    SELECT count(*) FROM trials INDEXED BY idx_trials_failed
    WHERE optimization_id = optimization_tasks.id AND error IS NOT NULL
);
