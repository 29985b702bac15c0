-- Times are ISO 8601 UTC text with milliseconds and Z; JSON columns hold JSON text; an undefined number is NULL.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE strategies (
    id VARCHAR(50) PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    version VARCHAR(20) NOT NULL,
    code TEXT NOT NULL,
    default_params JSON,
    created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    kind TEXT NOT NULL DEFAULT 'rule' CHECK (kind IN ('rule', 'kernel')),
    code_hash TEXT NOT NULL,
    doc TEXT NOT NULL DEFAULT '',
    builtin INTEGER NOT NULL DEFAULT 0,
    deleted_at TIMESTAMP
);
CREATE INDEX idx_strategies_name ON strategies(name);
CREATE INDEX idx_strategies_version ON strategies(version);

-- Every version there ever was, the newest one too: packages and reports name versions.
CREATE TABLE strategy_versions (
    strategy_id VARCHAR(50) NOT NULL REFERENCES strategies(id),
    version VARCHAR(20) NOT NULL,
    name VARCHAR(100) NOT NULL,
    kind TEXT NOT NULL,
    code TEXT NOT NULL,
    code_hash TEXT NOT NULL,
    doc TEXT NOT NULL DEFAULT '',
    default_params JSON,
    created_at TIMESTAMP NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (strategy_id, version)
);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    user TEXT NOT NULL,
    client TEXT,
    status TEXT NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'running', 'completed', 'failed', 'cancelled')),
    priority INTEGER NOT NULL DEFAULT 5,
    progress REAL NOT NULL DEFAULT 0.0,
    eta_s REAL,
    request JSON NOT NULL,
    state JSON,
    result JSON,
    error JSON,
    created_at TIMESTAMP NOT NULL,
    started_at TIMESTAMP,
    completed_at TIMESTAMP,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX idx_tasks_created_at ON tasks(created_at DESC);
CREATE INDEX idx_tasks_status ON tasks(status, created_at DESC);
CREATE INDEX idx_tasks_unfinished ON tasks(user) WHERE status IN ('pending', 'running');

CREATE TABLE task_logs (
    task_id TEXT NOT NULL REFERENCES tasks(id) ON DELETE CASCADE,
    n INTEGER NOT NULL,
    time TIMESTAMP NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (task_id, n)
) WITHOUT ROWID;

-- The id is the task's; status, progress and completed_at follow the task by the trigger below.
CREATE TABLE optimization_tasks (
    id VARCHAR(50) PRIMARY KEY REFERENCES tasks(id),
    strategy_id VARCHAR(50) NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    param_ranges JSON NOT NULL,
    optimization_target VARCHAR(20) NOT NULL,
    status VARCHAR(20) DEFAULT 'pending',
    progress REAL DEFAULT 0.0,
    created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    completed_at TIMESTAMP,
    strategy_version VARCHAR(20) NOT NULL,
    venue TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    method TEXT NOT NULL,
    seed INTEGER NOT NULL DEFAULT 0,
    n_trials INTEGER NOT NULL,
    n_done INTEGER NOT NULL DEFAULT 0,
    start_date TIMESTAMP,
    end_date TIMESTAMP,
    withheld_from TIMESTAMP,
    data_hash TEXT NOT NULL,
    details JSON NOT NULL DEFAULT '{}',
    report_id TEXT,
    verdict_id TEXT,
    FOREIGN KEY (strategy_id) REFERENCES strategies(id),
    FOREIGN KEY (strategy_id, strategy_version) REFERENCES strategy_versions(strategy_id, version)
);
CREATE INDEX idx_optimization_strategy_id ON optimization_tasks(strategy_id);
CREATE INDEX idx_optimization_status ON optimization_tasks(status);
CREATE INDEX idx_optimization_created_at ON optimization_tasks(created_at DESC);

CREATE TRIGGER optimization_follows_task AFTER UPDATE OF status, progress, completed_at ON tasks
BEGIN
    UPDATE optimization_tasks
    SET status = NEW.status, progress = NEW.progress, completed_at = NEW.completed_at
    WHERE id = NEW.id;
END;

CREATE TABLE optimization_results (
    id VARCHAR(50) PRIMARY KEY,
    optimization_id VARCHAR(50) NOT NULL,
    best_params JSON NOT NULL,
    best_score REAL NOT NULL,
    all_results JSON,
    created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    best_index INTEGER NOT NULL,
    FOREIGN KEY (optimization_id) REFERENCES optimization_tasks(id)
);
CREATE UNIQUE INDEX idx_optimization_results_task_id ON optimization_results(optimization_id);
CREATE INDEX idx_optimization_results_score ON optimization_results(best_score DESC);

-- One column a metric, so that any of them sorts; metrics that came later are added when the database is opened.
CREATE TABLE trials (
    optimization_id VARCHAR(50) NOT NULL REFERENCES optimization_tasks(id) ON DELETE CASCADE,
    idx INTEGER NOT NULL,
    params JSON NOT NULL,
    error TEXT,
    total_return REAL,
    annual_return REAL,
    sharpe REAL,
    sortino REAL,
    calmar REAL,
    max_drawdown REAL,
    volatility REAL,
    n_trades REAL,
    win_rate REAL,
    profit_factor REAL,
    expectancy REAL,
    exposure REAL,
    PRIMARY KEY (optimization_id, idx)
) WITHOUT ROWID;

-- The large columns stand last, so that listings do not read them.
CREATE TABLE backtest_reports (
    id VARCHAR(50) PRIMARY KEY,
    strategy_id VARCHAR(50) NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    params JSON NOT NULL,
    metrics JSON NOT NULL,
    max_drawdown REAL,
    sharpe_ratio REAL,
    total_return REAL,
    start_date TIMESTAMP,
    end_date TIMESTAMP,
    created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    task_id TEXT,
    optimization_id VARCHAR(50) REFERENCES optimization_tasks(id),
    strategy_version VARCHAR(20) NOT NULL,
    code_hash TEXT NOT NULL,
    venue TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    used_holdout INTEGER NOT NULL,
    data_hash TEXT NOT NULL,
    costs JSON NOT NULL,
    fill TEXT NOT NULL,
    direction TEXT NOT NULL,
    initial_cash REAL NOT NULL,
    stats JSON NOT NULL,
    trades JSON NOT NULL,
    equity JSON NOT NULL,
    FOREIGN KEY (strategy_id) REFERENCES strategies(id),
    FOREIGN KEY (strategy_id, strategy_version) REFERENCES strategy_versions(strategy_id, version)
);
CREATE INDEX idx_backtest_strategy_id ON backtest_reports(strategy_id);
CREATE INDEX idx_backtest_symbol ON backtest_reports(symbol);
CREATE INDEX idx_backtest_created_at ON backtest_reports(created_at DESC);
CREATE INDEX idx_backtest_sharpe ON backtest_reports(sharpe_ratio DESC);
CREATE INDEX idx_backtest_task_id ON backtest_reports(task_id);
CREATE INDEX idx_backtest_optimization_id ON backtest_reports(optimization_id);

CREATE TABLE verdicts (
    id TEXT PRIMARY KEY REFERENCES tasks(id),
    user TEXT NOT NULL,
    strategy_id VARCHAR(50) NOT NULL REFERENCES strategies(id),
    optimization_id VARCHAR(50) REFERENCES optimization_tasks(id),
    report_id VARCHAR(50) REFERENCES backtest_reports(id),
    venue TEXT NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    timeframe TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('approved', 'paper_only', 'rejected', 'insufficient_data')),
    grade TEXT CHECK (grade IN ('proven', 'criteria')),
    reason TEXT NOT NULL,
    checks JSON NOT NULL,
    evidence JSON NOT NULL,
    package_id TEXT,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX idx_verdicts_created_at ON verdicts(created_at DESC);
CREATE INDEX idx_verdicts_symbol ON verdicts(symbol);
CREATE INDEX idx_verdicts_optimization_id ON verdicts(optimization_id);

CREATE TABLE parameter_packages (
    id VARCHAR(50) PRIMARY KEY,
    backtest_id VARCHAR(50) NOT NULL,
    symbol VARCHAR(20) NOT NULL,
    strategy_id VARCHAR(50) NOT NULL,
    params JSON NOT NULL,
    metrics JSON NOT NULL,
    approved BOOLEAN DEFAULT FALSE,
    created_at TIMESTAMP DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    published_at TIMESTAMP,
    verdict_id TEXT REFERENCES verdicts(id),
    seq INTEGER NOT NULL,
    grade TEXT NOT NULL CHECK (grade IN ('proven', 'criteria')),
    venue TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    strategy_version VARCHAR(20) NOT NULL,
    valid_from TIMESTAMP NOT NULL,
    valid_until TIMESTAMP NOT NULL,
    superseded_by TEXT,
    revoked_at TIMESTAMP,
    revoked_by TEXT,
    revoked_reason TEXT,
    expired_at TIMESTAMP,
    doc JSON NOT NULL,
    FOREIGN KEY (backtest_id) REFERENCES backtest_reports(id),
    FOREIGN KEY (strategy_id) REFERENCES strategies(id)
);
CREATE INDEX idx_parameter_packages_symbol ON parameter_packages(symbol);
CREATE INDEX idx_parameter_packages_approved ON parameter_packages(approved);
CREATE INDEX idx_parameter_packages_created_at ON parameter_packages(created_at DESC);
CREATE UNIQUE INDEX idx_parameter_packages_seq ON parameter_packages(seq);
CREATE UNIQUE INDEX idx_parameter_packages_one_in_force ON parameter_packages(symbol, venue, timeframe, strategy_id)
    WHERE superseded_by IS NULL AND revoked_at IS NULL AND expired_at IS NULL;

-- Durable events: seq without gaps, prev = the seq before it on the same topic (0 for the first).
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    topic TEXT NOT NULL,
    prev INTEGER NOT NULL,
    type TEXT NOT NULL,
    time TIMESTAMP NOT NULL,
    subject TEXT,
    event TEXT NOT NULL,
    published_at TIMESTAMP
);
CREATE UNIQUE INDEX idx_events_topic ON events(topic, seq);
CREATE INDEX idx_events_unpublished ON events(seq) WHERE published_at IS NULL;

-- Replies to requests that changed something, by which a repeated id is answered without doing it again.
CREATE TABLE requests (
    user TEXT NOT NULL,
    client TEXT NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    body_hash TEXT NOT NULL,
    reply TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (user, client, id)
);
CREATE INDEX idx_requests_created_at ON requests(created_at);

CREATE TABLE holdouts (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    boundary_ms INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    PRIMARY KEY (venue, symbol)
) WITHOUT ROWID;

-- Every look at bars of a hold-out; the range [start_ms, end_ms) is what was looked at.
CREATE TABLE holdout_looks (
    id INTEGER PRIMARY KEY,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    start_ms INTEGER NOT NULL,
    end_ms INTEGER NOT NULL,
    boundary_ms INTEGER NOT NULL,
    user TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('backtest', 'verdict', 'approval')),
    task_id TEXT,
    time TIMESTAMP NOT NULL,
    CHECK (start_ms < end_ms)
);
CREATE INDEX idx_holdout_looks_lineage ON holdout_looks(venue, symbol, start_ms);
