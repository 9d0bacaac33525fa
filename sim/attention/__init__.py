"""Golden models, schedules and benches of the attention family."""
