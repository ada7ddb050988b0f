"""Our sides by the kind of work that they measure."""
