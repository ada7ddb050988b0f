"""The kit's own tables as migration steps. A service's revision calls a step; a step that was released never changes."""
