"""Personal data: found with Presidio behind an exact gate, replaced."""
