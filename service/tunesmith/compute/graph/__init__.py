"""The expression graph: what a rule's text and an indicator's formula become. Begin with `nodes`."""
