"""Caches: in this process, in Redis, or one before the other."""
