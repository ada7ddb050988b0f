"""The revision of a database, and the newest revision of this build. It does not load alembic, because every process uses it."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

RAISE_COMPATIBLE: Final = "update alembic_version set compatible_from = greatest(compatible_from, $1::text)"
"""Sets the oldest revision whose build can use a database. It never decreases, because data may require more than the schema."""


def directory_of(package: str) -> Path:
    """Return the directory of a migrations package, such as ``crm_sales.migrations``."""
    return Path(str(files(package)))


@cache
def head_of(package: str) -> str:
    """Return the newest revision of this build. Revisions have four digits, with which their file names begin, so that they
    compare as text."""
    return max((file.name[:4] for file in (directory_of(package) / "versions").glob("[0-9]*.py")), default="")


async def revision_of(conn: AsyncConnection) -> str:
    """Return the revision of a database; empty if it was never migrated."""
    exists = (await conn.exec_driver_sql("select to_regclass('alembic_version') is not null")).scalar_one()
    if not exists:
        return ""
    row = (await conn.exec_driver_sql("select coalesce(max(version_num), '') from alembic_version")).one()
    return str(row[0])


class SchemaTooNew(Exception):
    """A newer release has removed what this build needs."""


async def refusal_of(conn: AsyncConnection, package: str, revision: str) -> str | None:
    """Return why this build cannot use a database with a newer revision; None if it can."""
    has_column = (
        "select exists (select from pg_attribute where attrelid = 'alembic_version'::regclass"
        " and attname = 'compatible_from' and not attisdropped)"
    )
    oldest = None
    if (await conn.exec_driver_sql(has_column)).scalar_one():
        oldest = (await conn.exec_driver_sql("select max(compatible_from) from alembic_version")).scalar_one()
    if oldest is not None and oldest <= head_of(package):
        return None
    return (
        f"the database is at revision {revision}, which builds before revision {oldest or revision} cannot use;"
        f" this build knows {head_of(package)}: run the newer release, or restore a backup from before the upgrade"
    )
