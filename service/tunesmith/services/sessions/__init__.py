"""Sessions: every strategy on every symbol as one."""
