-- What a report's reader must know before the numbers, such as stops on the wrong side; texts.
ALTER TABLE backtest_reports ADD COLUMN warnings JSON NOT NULL DEFAULT '[]';
