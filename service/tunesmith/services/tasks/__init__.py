"""Tasks over the wire: listing, logs, cancelling."""
