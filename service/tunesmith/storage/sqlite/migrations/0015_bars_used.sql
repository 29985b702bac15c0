-- What bars a report was made with: calendar, missing and partial shares, as JSON. NULL: made before there were calendars.
ALTER TABLE backtest_reports ADD COLUMN bars TEXT;
