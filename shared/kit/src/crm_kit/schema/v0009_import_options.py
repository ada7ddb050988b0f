"""Adds to imports the formats of their file, the key of an update, what a dry run shows, and an index to list them by caller."""

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema.ahead import NewColumn, NewIndex

COLUMNS = (
    NewColumn("import_job", "options", "jsonb default '{}' not null", "formats, key and dry run"),
    NewColumn("import_job", "updated", "integer default 0 not null", "of done: rows that changed a record"),
    NewColumn("import_job", "preview", "jsonb", "the first rows as they would be, of a dry run"),
)
INDEX = NewIndex("ix_import_job_principal_id_id", "import_job", ("principal_id", "id"))


async def ahead(conn: AsyncConnection) -> None:
    """Make the columns and the index while the previous release runs."""
    for column in COLUMNS:
        await column.make(conn)
    await INDEX.make(conn)


def upgrade() -> None:
    """Change the table of imports. Call it in a revision."""
    for column in COLUMNS:
        column.within()
    INDEX.within()
