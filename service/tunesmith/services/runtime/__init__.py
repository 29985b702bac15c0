"""What every handler works with: the context, and the parts that it is made of."""
