"""Commands about keys, tokens and the audit log."""
