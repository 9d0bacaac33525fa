"""Models and benches of the simd family."""
