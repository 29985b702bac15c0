"""The library face: the daemon's work in a notebook, with the same functions and so the same numbers.

Nobody else imports it."""
