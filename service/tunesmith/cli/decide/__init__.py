"""Commands about verdicts and packages."""
