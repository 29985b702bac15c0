"""One module for each table: its row as a struct, and the statements on it."""
