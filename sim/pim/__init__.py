"""Models and benches of the pim family."""
