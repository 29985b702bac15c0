"""The rule language: code → checked graph. Begin with `program`."""
