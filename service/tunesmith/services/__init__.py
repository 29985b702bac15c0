"""The daemon's use cases. Rooms: runtime (context and its parts), requests, market, then one for each feature."""
