"""`tunesmith demo`."""
