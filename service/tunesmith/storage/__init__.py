"""What the daemon remembers: SQLite through aiosqlite, market data and snapshots as files, a cache."""
