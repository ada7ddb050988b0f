"""The state of one process of a service, and its vital signs."""
