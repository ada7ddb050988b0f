"""The schema of the identity database, step by step (alembic)."""
