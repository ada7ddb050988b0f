"""The migrations of every service, compared with its classes."""

import asyncio
from importlib import import_module

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from crm_kit.events.deferred import ENDED
from crm_kit.process.runtime import Service
from crm_kit.schema.migrations import migrate
from crm_kit.schema.revisions import head_of, revision_of
from crm_kit.schema.setup import reason_to_wait, until_prepared
from crm_kit.schema.standing import Standing
from crm_kit.schema.standing import differences as standing_differences
from crm_kit.store.database import Database
from crm_kit.testing.databases import Databases, settings_for
from tests.conftest import service_of

FOR_THE_PREVIOUS_RELEASE = {
    *("ix_lead_rating_id", "ix_contact_likeness", "ix_account_likeness"),
    *("ix_contact_last_name_id", "ix_contact_first_name_id", "ix_lead_last_name_id", "ix_lead_company_name_id"),
    *("ix_opportunity_stage_name", "ix_product_number_id", "ix_sales_literature_title_id", "ix_case_title_id"),
    *("ix_phone_call_subject_id", "ix_task_subject_id"),
}
"""Indexes that only the previous release uses. The next one drops them."""


def differences(connection: Connection, service: Service) -> list[object]:
    options = {
        "compare_type": True,
        "compare_server_default": False,
        "target_metadata": service.metadata,
        "include_object": lambda _thing, name, *_: name not in FOR_THE_PREVIOUS_RELEASE,
    }
    found = compare_metadata(MigrationContext.configure(connection, opts=options), service.metadata)
    return list(found)


async def test_a_migrated_database_is_what_the_classes_say(databases: Databases, service: Service) -> None:
    db = Database(databases.of(service).url, pool_size=1, application_name="test")
    async with db.begin() as conn:
        assert await conn.run_sync(differences, service) == []
        assert await revision_of(conn) == head_of(service.migrations)
    await db.dispose()


def test_the_index_of_suspects_is_of_the_error_that_they_have() -> None:
    indexes = service_of("crm_gateway").metadata.tables["inbox"].indexes
    [suspects] = [index for index in indexes if index.name == "ix_inbox_suspect"]
    assert str(suspects.dialect_options["postgresql"]["where"]) == f"state = 'pending' and last_error = '{ENDED}'"


async def test_migrating_again_and_together_changes_nothing(databases: Databases, service: Service) -> None:
    url = databases.create(f"migrated_{service.name}")
    await asyncio.gather(*(asyncio.to_thread(migrate, service.migrations, url, service.metadata) for _ in range(3)))
    db = Database(url, pool_size=1, application_name="test")
    async with db.begin() as conn:
        assert await revision_of(conn) == head_of(service.migrations)
    await db.dispose()
    databases.drop(url)


async def test_checks_of_large_tables_are_validated_before_the_migration(databases: Databases) -> None:
    """As the release before leaves the tables, with an attempt that ended before it validated the last constraint."""
    service = service_of("crm_sales")
    tax_rules = import_module("crm_sales.migrations.versions.0030_tax_rules")
    url = databases.create("checked_ahead")
    await asyncio.to_thread(migrate, service.migrations, url, service.metadata)
    db = Database(url, pool_size=1, application_name="test")
    async with db.autocommit() as conn:
        for table in tax_rules.TABLES:
            await conn.exec_driver_sql(f"alter table public.{table} drop tax_rounding, drop header_discount")
        await tax_rules.ahead(conn)
        last = tax_rules.STEPS[-1]
        await conn.exec_driver_sql(f"alter table public.{last.table} drop constraint {last.name}")
        await conn.exec_driver_sql(f"{last._add} not valid")
        await tax_rules.ahead(conn)
        assert await conn.run_sync(differences, service) == []
        assert (await conn.exec_driver_sql("select conname from pg_constraint where not convalidated")).all() == []
        assert await standing_differences(conn, service) == []
    await db.dispose()
    databases.drop(url)


async def test_a_migrated_database_holds_what_readiness_asks_for(databases: Databases, service: Service) -> None:
    db = Database(databases.of(service).url, pool_size=1, application_name="test")
    async with db.autocommit() as conn:
        assert await standing_differences(conn, service) == []
        assert await Standing(service).reasons(conn) == []
    await db.dispose()


async def test_a_process_waits_for_another_one_to_migrate(
    databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container waits before its API or worker starts if nothing orders containers.

    The database of setup may not exist yet.
    """
    service, reasons = service_of("crm_gateway"), asyncio.Queue[str]()

    async def told(db: Database, standing: Standing) -> str:
        await reasons.put(reason := await reason_to_wait(db, standing))
        return reason

    monkeypatch.setattr("crm_kit.schema.setup.reason_to_wait", told)
    monkeypatch.setattr("crm_kit.schema.setup.WAIT_SECONDS", 0.05)
    databases.drop(url := databases.create("not_there_yet"))
    waiting = asyncio.create_task(until_prepared(service, settings_for(service, url)))
    assert "does not answer" in await reasons.get()
    databases.create("not_there_yet")
    while "at revision none" not in (reason := await reasons.get()):
        assert "does not answer" in reason
    await asyncio.to_thread(migrate, service.migrations, url, service.metadata)
    await waiting
    databases.drop(url)
