"""What a search maximizes: metrics, expressions over them, weights, losses, or several of these at once."""
