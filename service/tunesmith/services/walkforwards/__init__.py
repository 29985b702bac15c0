"""Walk-forwards over the wire."""
