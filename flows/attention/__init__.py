"""Commands of the attention family."""
