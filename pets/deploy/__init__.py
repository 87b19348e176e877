"""A trained classifier outside the trainer: prediction, export, model card."""
