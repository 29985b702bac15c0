"""Strategies over the wire."""
