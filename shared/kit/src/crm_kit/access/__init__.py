"""The identity of a caller, and their rights on each row."""
