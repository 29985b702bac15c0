"""`tunesmith data`."""
