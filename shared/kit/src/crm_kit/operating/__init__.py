"""The operators' work with events, queues and subscribers."""
