"""The migration steps of the kit's own tables. A service's revision calls a step. A released step never changes."""
