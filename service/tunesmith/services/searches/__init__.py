"""Searches (`optimization.*`): from a request to trials in the database."""
