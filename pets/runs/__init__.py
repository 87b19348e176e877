"""The folder of a run: where everything in it lies, who may write to it, and how a later command takes it up."""
