-- Searches that are made again and again; `search` is their optimization.start.
CREATE TABLE schedules (
    id VARCHAR(50) PRIMARY KEY,
    user TEXT NOT NULL,
    every TEXT,
    cron TEXT,
    search JSON NOT NULL,
    next_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP,
    last_task_id TEXT,
    last_error TEXT,
    created_at TIMESTAMP NOT NULL,
    CHECK ((every IS NULL) <> (cron IS NULL))
);
CREATE INDEX idx_schedules_next_at ON schedules(next_at);
