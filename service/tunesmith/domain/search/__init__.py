"""What a search is asked to do, and what analyses of it find, as plain values."""
