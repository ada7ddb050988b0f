"""Events between services: sent in order, received once, retried, replayed; and what becomes due as time passes."""
