"""Pulse logic on the command line."""
