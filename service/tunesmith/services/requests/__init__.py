"""What all requests share: idempotency, cached replies, the audit log."""
