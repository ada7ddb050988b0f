"""What operators do with events, queues and subscribers."""
