-- What evaluated a report. Listings do not read it, so it may stand behind the large columns.
ALTER TABLE backtest_reports ADD COLUMN engine TEXT NOT NULL DEFAULT 'tunesmith';
