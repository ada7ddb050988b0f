"""Service management: cases so far."""
