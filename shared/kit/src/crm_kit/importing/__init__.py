"""Import of files of any size: accepted at once, worked off in chunks that commit with their checkpoint."""
