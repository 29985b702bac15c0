-- Of a verdict on several symbols together: the further ones, as [{"venue", "symbol", "package_id"}].
ALTER TABLE verdicts ADD COLUMN others JSON NOT NULL DEFAULT '[]';
