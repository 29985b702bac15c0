"""The checks of a decision on a search, a module each: question, work, limits, texts, and what may be shown.

Begin with `check_declaration` (what a check declares); `check_registry` holds all of them in the order they are made.
"""
