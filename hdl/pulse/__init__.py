"""Gateware of pulse: from detector samples to time and energy."""
