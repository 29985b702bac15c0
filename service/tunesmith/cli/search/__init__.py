"""Commands that search: searches, sessions, schedules, backtests, and following them."""
