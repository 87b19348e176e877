"""From a uint8 batch to a float batch in [0, 1], on the device."""
