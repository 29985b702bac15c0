"""`tunesmith` at a terminal: numbered choices for newcomers."""
