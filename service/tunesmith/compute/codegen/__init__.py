"""From a checked rule to rows of indicators and one compiled function of its conditions. Begin with `plan`."""
