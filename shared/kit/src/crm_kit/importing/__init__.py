"""Imports files of any size. A file is accepted at once and processed in chunks, each of which commits with its checkpoint."""
