"""A clock that goes back: what was to be tried again soon is, and what waits by right goes on waiting."""

from datetime import timedelta
from uuid import uuid4

from crm_kit import clock
from crm_kit.store.database import Database
from crm_kit.store.record import new_id
from crm_kit.worker import stepped

HOUR = timedelta(hours=1)


async def test_what_waits_longer_than_any_failure_asks_for_is_tried_again(database_url: str) -> None:
    db, now = Database(database_url, pool_size=1, application_name="test"), clock.now()
    soon, never = now + timedelta(seconds=30), now + 2 * HOUR
    outbox = (
        "insert into outbox (id, shard, entity_type, entity_id, entity_version, type, body, created_at, attempts,"
        " next_attempt_at) values ($1, 0, 'thing', $1, 1, 'x', '', $2, $3, $4)"
    )
    inbox = (
        "insert into inbox (consumer, source, event_id, type, state, received_at, attempts, next_attempt_at)"
        " values ('c', 's', $1, 'x', 'pending', $2, $3, $4)"
    )
    imports = (
        "insert into import_job (id, principal_id, entity_type, duplicates, columns, mapping, principal, correlation_id,"
        " total, done, skipped, failed, status, created_at, next_attempt_at)"
        " values ($1, $1, 'thing', 'allow', '[]', '{}', '{}', 'c', 1, 0, 0, 0, 'queued', $2, $3)"
    )
    async with db.begin() as conn:
        for attempts, at in ((1, never), (6, soon)):
            await conn.exec_driver_sql(outbox, (uuid4(), now, attempts, at))
            await conn.exec_driver_sql(inbox, (new_id(), now, attempts, at))
        # After five failures six hours are what it waits by right.
        await conn.exec_driver_sql(inbox, (new_id(), now, 5, never))
        for at in (never, soon):
            await conn.exec_driver_sql(imports, (uuid4(), now, at))
        assert await stepped.try_again(conn) == 3
        assert await stepped.try_again(conn) == 0
        waiting = await conn.exec_driver_sql(
            "select (select count(*) from outbox where next_attempt_at > $1), (select count(*) from inbox"
            " where next_attempt_at > $1), (select count(*) from import_job where next_attempt_at > $1)",
            (clock.now(),),
        )
        assert tuple(waiting.one()) == (1, 2, 1)
    await db.dispose()
