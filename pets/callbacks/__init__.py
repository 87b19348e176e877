"""What a training run does besides training: schedule, LR finder, history, dashboards."""
