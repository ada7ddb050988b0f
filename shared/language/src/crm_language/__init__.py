"""What people read of the API, in the languages that they read."""
