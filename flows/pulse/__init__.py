"""The verbs of `niello pulse`."""
