"""PostgreSQL for every service: connections, columns, the base of records, and the JSON form of a row."""
