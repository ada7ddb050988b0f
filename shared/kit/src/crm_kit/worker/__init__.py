"""A service's second process: everything that runs without a request."""
