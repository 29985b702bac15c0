"""Market data for use cases: from a request's market to bars on disk."""
