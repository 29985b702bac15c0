"""What is measured of simulated accounts: metrics, path metrics, block sums, closed trades."""
