"""The functions that workers run, by feature, and their payloads."""
