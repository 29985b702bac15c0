"""The parameter space: which values a parameter has and which points a search may try. Begin with `space`."""
