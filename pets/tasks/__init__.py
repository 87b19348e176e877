"""What `task=` can name: a module each, whose `run(cfg)` leaves a complete run folder and returns a metric or None."""
