"""Events between services. They are sent in order, take effect once, and are retried and replayed. Also timers."""
