"""Imports while a worker of the release without options works beside this one, or after a return to it."""

import aiohttp

from crm_kit import clock
from crm_kit.access.directory import REVOKED
from crm_kit.importing import operations
from crm_kit.process.runtime import Runtime
from crm_kit.testing import Client, counted
from crm_kit.testing.databases import ServiceDatabase

from .journey import API, Sales
from .test_import import HEADER, send, worked_off
from .test_import_queue import ENTITIES

CLAIM_WITHOUT_OPTIONS = """
select t.principal_id, t.served_at, j.* from import_turn t cross join lateral (
    select id, principal_id, entity_type, duplicates, columns::text, mapping::text, principal::text, correlation_id, traceparent,
        attempts, created_at, v.not_before, v.sequence,
        (select p.active and not p.deleted from principal_ref p where p.id = o.principal_id) as active
    from import_job o left join (select principal_id, @revoked from revocation) v using (principal_id)
    where o.principal_id = t.principal_id and o.status in ('queued', 'running')
        and (o.next_attempt_at is null or o.next_attempt_at <= $1) and o.entity_type = any($2::text[])
        and o.id <> all($3::uuid[])
    order by o.created_at, o.id limit 1
) j order by t.served_at limit 1 for update of t skip locked
""".replace("@revoked", REVOKED)
"""The statement by which workers took jobs before jobs had options."""


async def claimed(runtime: Runtime) -> bool:
    async with runtime.db.begin() as conn:
        found = await conn.exec_driver_sql(CLAIM_WITHOUT_OPTIONS, (clock.now(), list(ENTITIES), []))
        return found.first() is not None


async def test_a_worker_without_options_leaves_jobs_that_have_them(
    client: Client, runtime: Runtime, sales: Sales, database: ServiceDatabase
) -> None:
    for options in ({"dry_run": "true"}, {"key": "email"}, {"currency": "EUR"}, {"date": "DD.MM.YYYY"}):
        answer = await send(client, HEADER + "a,,One,a@example.org,\n", **options)
        assert (answer.status, answer.json["entity"]) == (202, "lead"), answer.body
        place = answer.headers["location"]
        assert place.startswith(f"{API}/leads/jobs/")
        assert not await claimed(runtime), options
        for path in (place, f"{API}/leads/jobs", f"{API}/imports?entity=lead"):
            found = (await client.get(path)).json
            assert found.get("items", [found])[0]["href"] == place
        assert {job["entity_type"] for job in await operations.list_jobs(database.url, everything=True)} == {"lead"}
        await worked_off(runtime)
        assert (await client.get(place)).json["done"] == 1
    assert len(await sales.page("leads")) == 3, "the dry run made none, and the update changed none yet"
    await send(client, HEADER + "a,,One,,\n")
    assert await claimed(runtime), "jobs without options are anybody's"
    await worked_off(runtime)


async def test_nothing_is_begun_before_a_file_can_be_read(client: Client, runtime: Runtime) -> None:
    data = aiohttp.FormData()
    data.add_field("file", b"topic,topic\nx,y\n", filename="leads.csv")
    with counted(runtime.db) as statements:
        answer = await client.post(f"{API}/leads/import", body=data, headers={"Idempotency-Key": "monday"})
    assert (answer.status, answer.problem, statements) == (422, "unreadable-file", [])
