"""Searches that are made again and again."""
