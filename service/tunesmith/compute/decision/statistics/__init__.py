"""Statistics of the decision: what each says, and the sentence of what it cannot say."""
