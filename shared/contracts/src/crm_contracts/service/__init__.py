"""Service management: cases."""
