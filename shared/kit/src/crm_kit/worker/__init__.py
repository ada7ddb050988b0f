"""The worker, which is a service's second process. It runs everything that needs no request."""
