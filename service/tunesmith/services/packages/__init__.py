"""Parameter packages: issued, published, revoked."""
