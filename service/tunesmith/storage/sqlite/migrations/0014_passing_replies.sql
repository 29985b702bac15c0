-- Replies that the same request makes again, refusals among them: of these the newest of each user are kept.
ALTER TABLE requests ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;
CREATE INDEX idx_requests_passing ON requests(user) WHERE passing;
CREATE INDEX idx_package_acks_user ON package_acks(user, id);
