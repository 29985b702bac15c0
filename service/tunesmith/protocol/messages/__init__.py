"""Messages: the wire contract as typed values. `catalog.MESSAGES` lists every type."""
