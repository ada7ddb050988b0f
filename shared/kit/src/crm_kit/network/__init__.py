"""URLs of servers and addresses of callers: parsing, checks and connecting. It knows no protocol content."""
