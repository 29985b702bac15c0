"""Searching a parameter space: feasible points, samplers, objectives, stopping, selection. Begin with `search`."""
