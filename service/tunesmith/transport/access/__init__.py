"""Who may connect, as what, and what they may hear."""
