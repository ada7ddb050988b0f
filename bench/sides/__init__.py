"""Our sides by the kind of work."""
