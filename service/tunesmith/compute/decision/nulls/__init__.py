"""What every search that was made on a market finds on shuffled versions of it, and the p-value of a winner among all.

Pure: what is to be computed is asked for in requests, which tasks give to workers.
"""
