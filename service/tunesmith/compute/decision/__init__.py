"""The decision on a search: skill or noise. A table of checks, cheap first, each with its reason in figures."""
