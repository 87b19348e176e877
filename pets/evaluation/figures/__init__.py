"""Figures: each is drawn from what it is given, and nothing here infers or opens a run."""
