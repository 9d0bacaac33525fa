"""In-memory processing: a memory channel that multiplies beside its rows, and its companions."""
