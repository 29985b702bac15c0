"""Engines that evaluate points on bars, and vectorbt's replay that confirms them. Begin with `evaluate`."""
