"""From files on disk to a uint8 batch."""
