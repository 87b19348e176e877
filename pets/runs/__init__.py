"""The folder of a run: where everything in it lies, its lock, and how a later command continues from it."""
