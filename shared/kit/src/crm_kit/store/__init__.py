"""PostgreSQL as every service uses it: connections, columns, the base of records, and how a row becomes JSON."""
