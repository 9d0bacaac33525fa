"""Single-flux-quantum pulse logic."""
