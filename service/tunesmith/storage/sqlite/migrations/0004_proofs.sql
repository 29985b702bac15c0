-- The same request for a verdict gets the verdict that was given.
ALTER TABLE verdicts ADD COLUMN request_key TEXT;
CREATE INDEX idx_verdicts_request_key ON verdicts(request_key);
