"""Jobs of a multirun as tasks of a Ray cluster."""
