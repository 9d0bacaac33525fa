"""The processor: a client of its monitor, and its bench."""
