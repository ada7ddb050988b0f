"""Counts the statements that a piece of work sends, including BEGIN and COMMIT."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from crm_kit.store.database import Database

BACKGROUND = frozenset({"directory", "jwks", "notifier"})
"""Tasks of a runtime that run independently of the work."""
LEARNING = ("pg_catalog", "'jit'")
"""Words of the driver's queries for types, once per connection. They are not counted."""


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """Yield a list that collects the texts of the statements that the database's pool sends inside the context, in order.

    SQLAlchemy's event reports the statements of the ORM and Core. Transaction control and ``fetch`` of ``crm_kit.store.database``
    use asyncpg directly. asyncpg's query logger reports these, but not statements that SQLAlchemy prepares. Together they report
    each statement once.
    """
    statements: list[str] = []
    watched: list[Any] = []
    engine = database.engine.sync_engine

    def executes(conn: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not _in_background():
            statements.append(statement)

    def direct(record: Any) -> None:
        if not _in_background() and not any(word in record.query for word in LEARNING):
            statements.append(record.query)

    def watch(dbapi_connection: Any, *_: Any) -> None:
        driver = dbapi_connection.driver_connection
        if driver not in watched:
            driver.add_query_logger(direct)
            watched.append(driver)

    event.listen(engine, "before_cursor_execute", executes)
    event.listen(engine, "checkout", watch)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", executes)
        event.remove(engine, "checkout", watch)
        for driver in watched:
            driver.remove_query_logger(direct)


def _in_background() -> bool:
    task = asyncio.current_task()
    return task is not None and task.get_name() in BACKGROUND
