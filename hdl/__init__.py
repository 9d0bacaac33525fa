"""Gateware: generators of blocks, and what they share."""
