"""How fast and how truly a process follows what identity said."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from crm_contracts.identity import (
    AccessChangeCreated,
    BusinessUnitCreated,
    BusinessUnitDeleted,
    OrganizationCreated,
    TeamCreated,
    UserCreated,
    UserDeleted,
    UserDisabled,
    UserUpdated,
)
from crm_kit import clock
from crm_kit.access.directory import NAMES_HELD, Directory, Organization
from crm_kit.access.tokens import TokenVerifier, http_keys
from crm_kit.configuration.settings import Settings
from crm_kit.copies.directory_feed import (
    keep_organization,
    keep_principals,
    keep_revocations,
    keep_units,
)
from crm_kit.process.runtime import Runtime
from crm_kit.store.database import Database
from crm_kit.store.notify import Notifier
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork, system_principal

UNIT = uuid4()


def stamps(record_id: UUID, version: int) -> dict[str, Any]:
    now = clock.now()
    by = UUID(int=1)
    return {
        "id": record_id,
        "version": version,
        "created_at": now,
        "created_by": by,
        "modified_at": now,
        "modified_by": by,
    }


def user(record_id: UUID, version: int, name: str, status: str = "active") -> dict[str, Any]:
    return {
        **stamps(record_id, version),
        "status": status,
        "status_reason": status,
        "email": f"{record_id}@example.org",
        "name": name,
        "business_unit_id": UNIT,
        "team_ids": [],
        "role_ids": [],
        "locale": None,
        "time_zone": None,
    }


def unit(record_id: UUID, version: int, name: str, parent: UUID | None) -> dict[str, Any]:
    return {**stamps(record_id, version), "name": name, "parent_id": parent}


def access_change(principals: list[UUID], not_before: Any, sequence: int | None = None) -> AccessChangeCreated:
    named = [{"type": "user", "id": principal} for principal in principals]
    return AccessChangeCreated.consume(
        {
            "record": {**stamps(uuid4(), 1), "principals": named, "not_before": not_before, "sequence": sequence},
            "changed": {},
        }
    )


@pytest.fixture
def runtime(db: Database, notifier: Notifier, directory: Directory) -> Runtime:
    settings = Settings.model_validate({"CRM_SERVICE": "test", "CRM_SECRET": "s", "DATABASE_URL": db.dsn})
    tokens = TokenVerifier(directory, db, http_keys(""))
    return Runtime("test", settings, db, notifier, directory, tokens)


async def apply(runtime: Runtime, handler: Any, *events: Any) -> None:
    async with runtime.db.begin() as conn:
        uow = UnitOfWork(runtime, system_principal("test"), Cause("test"), conn=conn)
        await handler(events, uow)


async def until(condition: Any, seconds: float = 120) -> float:
    began = clock.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # nothing signals what another connection committed
            await asyncio.sleep(0.005)
    return clock.monotonic() - began


async def learned(runtime: Runtime, principal: UUID) -> Any:
    async with runtime.db.autocommit() as conn:
        await runtime.directory.learn(conn, [principal])
    return runtime.directory.named(principal)


async def test_before_the_first_event_there_are_defaults(directory: Directory) -> None:
    assert directory.ready
    assert directory.organization == Organization("UTC", "EUR", None, "en", None)
    assert directory.tree.below(UNIT) == {UNIT}
    assert not directory.superseded(UNIT, 0)


async def test_a_principal_is_learned_once_and_followed(runtime: Runtime) -> None:
    ada = uuid4()
    assert await learned(runtime, ada) is None
    await apply(runtime, keep_principals, UserCreated.consume({"record": user(ada, 1, "Ada"), "changed": {}}))
    await until(lambda: (found := runtime.directory.named(ada)) is not None and found.name == "Ada")
    await apply(
        runtime,
        keep_principals,
        UserUpdated.consume({"record": user(ada, 2, "Ada King"), "changed": {}}),
        UserDisabled.consume({"record": user(ada, 3, "Ada King", "disabled"), "changed": {}}),
    )
    await until(lambda: not runtime.directory.named(ada).active)  # type: ignore[union-attr]  # known by now
    found = runtime.directory.named(ada)
    assert found is not None
    assert (found.kind, found.name, found.unit) == ("user", "Ada King", UNIT)


async def test_an_older_version_changes_nothing_and_a_delete_leaves_a_tombstone(runtime: Runtime) -> None:
    ada = uuid4()
    gone = UserDeleted.consume({"record": user(ada, 3, "Ada"), "changed": {}})
    late = UserUpdated.consume({"record": user(ada, 2, "Late"), "changed": {}})
    await apply(runtime, keep_principals, gone)
    await apply(runtime, keep_principals, late)
    found = await learned(runtime, ada)
    assert (found.name, found.deleted, found.active) == ("Ada", True, False)


async def test_a_team_is_a_principal_without_an_address(runtime: Runtime) -> None:
    team = uuid4()
    record = {**stamps(team, 1), "name": "Key accounts", "business_unit_id": UNIT, "role_ids": []}
    await apply(runtime, keep_principals, TeamCreated.consume({"record": record, "changed": {}}))
    found = await learned(runtime, team)
    assert (found.kind, found.name, found.email, found.active) == ("team", "Key accounts", None, True)


async def test_the_tree_follows_in_any_order_of_arrival(runtime: Runtime) -> None:
    root, vienna, graz = uuid4(), uuid4(), uuid4()
    await apply(
        runtime,
        keep_units,
        BusinessUnitCreated.consume({"record": unit(graz, 1, "Graz", vienna), "changed": {}}),
        BusinessUnitCreated.consume({"record": unit(vienna, 1, "Vienna", root), "changed": {}}),
    )
    await apply(runtime, keep_units, BusinessUnitCreated.consume({"record": unit(root, 1, "All", None), "changed": {}}))
    await until(lambda: runtime.directory.tree.below(root) == {root, vienna, graz})
    assert runtime.directory.unit_name(graz) == "Graz"
    await apply(
        runtime, keep_units, BusinessUnitDeleted.consume({"record": unit(graz, 2, "Graz", vienna), "changed": {}})
    )
    await until(lambda: runtime.directory.tree.below(root) == {root, vienna})


async def test_the_organisation_replaces_the_defaults(runtime: Runtime) -> None:
    record = {
        **stamps(uuid4(), 1),
        "name": "Engines",
        "time_zone": "Europe/Vienna",
        "base_currency": "CHF",
        "country": "AT",
        "language": "de",
    }
    await apply(runtime, keep_organization, OrganizationCreated.consume({"record": record, "changed": {}}))
    await until(lambda: runtime.directory.organization.base_currency == "CHF")
    assert runtime.directory.organization == Organization("Europe/Vienna", "CHF", "AT", "de", "Engines")


async def test_a_revocation_is_known_in_time_and_the_latest_counts(runtime: Runtime) -> None:
    ada, grace = uuid4(), uuid4()
    now = clock.now()
    earlier = access_change([ada, grace], now - timedelta(minutes=1))
    await apply(runtime, keep_revocations, access_change([ada], now), earlier)
    await until(lambda: runtime.directory.superseded(ada, now.timestamp() - 0.001))
    assert not runtime.directory.superseded(ada, now.timestamp())
    assert not runtime.directory.superseded(grace, now.timestamp() - 1)
    await apply(runtime, keep_revocations, earlier)
    assert runtime.directory.superseded(ada, now.timestamp() - 0.001)


HOURS = timedelta(hours=2)


async def test_a_change_counts_by_its_sequence_whatever_the_clock_did(runtime: Runtime) -> None:
    ada, now = uuid4(), clock.now()
    await apply(runtime, keep_revocations, access_change([ada], now + HOURS, 5))
    await until(lambda: runtime.directory.superseded(ada, now.timestamp(), 4))
    assert not runtime.directory.superseded(ada, now.timestamp(), 5), "issued after the clock had gone back"
    await apply(runtime, keep_revocations, access_change([ada], now, 6), access_change([ada], now + HOURS, 5))
    await until(lambda: runtime.directory.superseded(ada, now.timestamp(), 5))
    assert not runtime.directory.superseded(ada, now.timestamp(), 6)
    assert runtime.directory.superseded(ada, now.timestamp()), "a token that does not count is older by the clock"


EARLIER_RELEASE = (
    "insert into revocation (principal_id, not_before) values ($1, $2) on conflict (principal_id)"
    " do update set not_before = greatest(revocation.not_before, excluded.not_before)"
)


@pytest.mark.parametrize("by", ["a handler", "an issuer"])
async def test_an_earlier_release_that_does_not_count_voids_tokens_by_the_clock(
    runtime: Runtime, db: Database, by: str
) -> None:
    ada, now = uuid4(), clock.now()
    await apply(runtime, keep_revocations, access_change([ada], now, 5))
    await until(lambda: runtime.directory.superseded(ada, now.timestamp(), 4))
    later = now + timedelta(seconds=2)
    if by == "an issuer":
        await apply(runtime, keep_revocations, access_change([ada], later))
    else:
        async with db.begin() as conn:
            await conn.exec_driver_sql(EARLIER_RELEASE, (ada, later))
            await conn.exec_driver_sql("update access_state set marker = marker + 1")
    await until(lambda: runtime.directory.superseded(ada, now.timestamp() + 1, 5))
    assert not runtime.directory.superseded(ada, later.timestamp(), 5)
    await apply(runtime, keep_revocations, access_change([ada], later + timedelta(seconds=1), 7))
    await until(lambda: runtime.directory.superseded(ada, later.timestamp(), 6))
    assert not runtime.directory.superseded(ada, now.timestamp(), 7)


async def test_without_notifications_the_poll_is_enough(runtime: Runtime, db: Database) -> None:
    ada = uuid4()
    async with db.begin() as conn:
        await conn.exec_driver_sql("insert into revocation values ($1, $2)", (ada, clock.now()))
        await conn.exec_driver_sql("insert into access_state values (1, 1)")
    await until(lambda: runtime.directory.superseded(ada, 1.0))
    assert runtime.directory.superseded(ada, 1.0)


async def test_an_old_revocation_is_forgotten(runtime: Runtime, db: Database) -> None:
    ada, grace = uuid4(), uuid4()
    await apply(runtime, keep_revocations, access_change([ada], clock.now() - timedelta(minutes=20)))
    async with db.begin() as conn:
        await conn.exec_driver_sql("update revocation set noted_at = not_before")
    await apply(runtime, keep_revocations, access_change([grace], clock.now()))
    async with db.autocommit() as conn:
        left = (await conn.exec_driver_sql("select principal_id from revocation")).scalars().all()
    assert left == [grace]


async def test_names_are_held_up_to_a_bound(runtime: Runtime) -> None:
    directory = runtime.directory
    first = [uuid4() for _ in range(NAMES_HELD)]
    async with runtime.db.autocommit() as conn:
        await directory.learn(conn, first)
        await directory.learn(conn, [uuid4()])
    assert len(directory._names) == NAMES_HELD


@pytest.mark.parametrize("steps", range(6))
async def test_news_that_arrive_while_it_is_stopped_do_not_keep_it_alive(runtime: Runtime, steps: int) -> None:
    directory = Directory(runtime.db, runtime.notifier)
    await directory.start()
    # A few steps, so that it waits for news; then the cancellation meets each point of its waking up.
    for _ in range(10):
        await asyncio.sleep(0)
    directory._wake()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(120):
        await directory.stop()
    assert not directory.alive
