"""Which revision a database is at, and which this build knows. Every process asks; only who migrates loads alembic."""

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

RAISE_COMPATIBLE: Final = "update alembic_version set compatible_from = greatest(compatible_from, $1::text)"
"""Say which builds can use a database from now on. It never goes back: what has happened to the data may ask for more than
the schema does."""


def directory_of(package: str) -> Path:
    """Where the migrations of a package lie, such as ``crm_sales.migrations``."""
    return Path(str(files(package)))


@cache
def head_of(package: str) -> str:
    """The newest revision this build knows. Revisions are four digits, with which their files' names begin, so they compare
    as text."""
    return max((file.name[:4] for file in (directory_of(package) / "versions").glob("[0-9]*.py")), default="")


async def revision_of(conn: AsyncConnection) -> str:
    """The revision a database is at; empty for one that was never migrated."""
    exists = (await conn.exec_driver_sql("select to_regclass('alembic_version') is not null")).scalar_one()
    if not exists:
        return ""
    row = (await conn.exec_driver_sql("select coalesce(max(version_num), '') from alembic_version")).one()
    return str(row[0])


class SchemaTooNew(Exception):
    """A newer release has taken away what this build needs."""


async def refusal_of(conn: AsyncConnection, package: str, revision: str) -> str | None:
    """Why this build cannot use a database at a revision that it does not know; None when it can."""
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
