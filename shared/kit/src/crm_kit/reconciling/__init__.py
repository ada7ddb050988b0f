"""Compares copies with their publishers, rebuilds them, and carries steps over into the epoch of a restored publisher.

Only an operator uses it, who can reach all databases. Services do not use it.
"""
