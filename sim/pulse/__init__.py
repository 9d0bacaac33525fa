"""Pulse timing: signals, their physical limit, golden models and benches."""
