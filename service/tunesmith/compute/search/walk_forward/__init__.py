"""Walk-forward analysis: search on what is past, trade what comes next, again and again."""
