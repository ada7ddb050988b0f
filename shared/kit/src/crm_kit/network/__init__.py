"""URLs of servers and addresses of callers: read, checked and dialled. Knows nothing of what is said there."""
