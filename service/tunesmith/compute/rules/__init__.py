"""A rule bound to bars: its strategy, its conditions between parameters, its signals. Begin with `strategy`."""
