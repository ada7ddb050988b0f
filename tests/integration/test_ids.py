"""Ids mean one record in the whole suite, as copies of records of several services need it."""

from uuid import UUID

import asyncpg

from crm_activities.consumers import FOLLOWED
from crm_local.suite import SERVICES, in_database
from tests.integration.suite import Suite


async def test_no_two_records_that_activities_follow_have_the_same_id(suite: Suite) -> None:
    followed = [entity.name for entity in FOLLOWED]
    seen: dict[UUID, set[str]] = {}
    for service in SERVICES:
        name = f"{suite.status['instance']}_crm_{service.name}"
        conn = await asyncpg.connect(in_database(suite.status["database_url"], name))
        rows = await conn.fetch(
            "select distinct entity_id, entity_type from audit where entity_type = any($1::text[])", followed
        )
        await conn.close()
        for record, kind in rows:
            seen.setdefault(record, set()).add(kind)
    assert seen
    assert {record: kinds for record, kinds in seen.items() if len(kinds) > 1} == {}
