"""HTTP requests: connections, the app, one request as one unit of work, problems and OpenAPI."""
