"""Files with secrets: signing keys, tokens, and the log of what commands did to keys."""
