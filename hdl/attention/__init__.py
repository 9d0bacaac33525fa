"""Attention: gateware and its configs."""
