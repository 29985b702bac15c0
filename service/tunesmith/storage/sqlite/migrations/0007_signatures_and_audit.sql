-- The Ed25519 signature over the exact bytes of an event; NULL where no key signed.
ALTER TABLE events ADD COLUMN signature BLOB;

-- Who asked for what only operators may do, who approved, who revoked. Rows are added and never changed or removed.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    time TIMESTAMP NOT NULL,
    user TEXT NOT NULL,
    role TEXT NOT NULL,
    door TEXT NOT NULL,
    client TEXT NOT NULL,
    type TEXT NOT NULL,
    request_id TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    n INTEGER NOT NULL CHECK (n >= 1)
);
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
