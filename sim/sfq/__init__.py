"""Models and benches of the sfq family."""
