"""How many statements a piece of work sends, exactly: BEGIN and COMMIT count like any other."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from crm_kit.store.database import Database

BACKGROUND = frozenset({"directory", "jwks", "notifier"})
"""Tasks of a runtime that follow changes at their own pace."""
LEARNING = ("pg_catalog", "'jit'")
"""What the driver asks about types, once on each new connection: nothing that work costs."""


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The texts of the statements that the database's pool sends inside the block, in order.

    Statements of the ORM and Core arrive through SQLAlchemy's event. Transaction control and ``fetch`` of
    ``crm_kit.store.database`` go past it, straight to asyncpg. asyncpg's query logger in turn does not see what SQLAlchemy
    prepares. The two together see each statement once.
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
