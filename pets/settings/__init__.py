"""Every setting of the project, declared once and without torch."""
