"""One account through the bars: orders, stops, costs. The meaning is that of tests/reference/simulator.py."""
