"""In-memory processing on the command line."""
