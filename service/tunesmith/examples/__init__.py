"""Bots to start from: each runs as it stands, and in the tests."""
