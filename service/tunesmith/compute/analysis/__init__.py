"""What a search's trials say: ranks, the front, what matters, landscapes, comparisons, and where to search next."""
