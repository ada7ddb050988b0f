"""The worker as the platform sees it: ready, measured, and gone when asked."""

import asyncio

import aiohttp

from crm_kit.broker.publishing import Publisher
from crm_kit.process.runtime import Runtime
from crm_kit.store.notify import Notifier

from .conftest import Story, WorkerProcess, rows, send, until


async def answer(worker: WorkerProcess, path: str, port: int = 0) -> tuple[int, str]:
    """Status and text; 0 while nobody answers."""
    url = f"http://127.0.0.1:{port or worker.port}{path}"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.text()
    except aiohttp.ClientError:
        return 0, ""


async def test_it_is_ready_measured_and_ends_when_asked(
    worker: WorkerProcess, runtime: Runtime, publisher: Publisher, story: Story
) -> None:
    await send(publisher, story.tell("created", "poison step"))
    process = await worker.start()

    async def measured() -> bool:
        text = (await answer(worker, "/metrics", worker.metrics_port))[1]
        return (
            'crm_inbox_stored{crm_role="worker",group="mini.echoes",service_name="crm-mini",state="pending"} 1.0'
            in text
        )

    await until(measured, seconds=120)
    assert (await answer(worker, "/metrics"))[0] == 404
    assert await answer(worker, "/healthz") == (200, '{"status":"ok"}')
    assert await answer(worker, "/readyz") == (200, '{"status":"ready","reasons":[]}')
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 120) == 0


async def test_notifications_are_coalesced_and_survive_a_lost_connection(runtime: Runtime, database_url: str) -> None:
    heard: list[str] = []
    listener = Notifier(database_url, "listener")
    listener.listen("news", heard.append)
    await listener.start()
    speaker = Notifier(database_url, "speaker")
    await speaker.start()

    async def has(payload: str) -> bool:
        return payload in heard

    await until(lambda: has(""))
    for _ in range(100):
        speaker.notify("news", "first")
    await until(lambda: has("first"))
    assert heard.count("first") <= 2
    sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name in ('listener', 'speaker')"
    assert await rows(runtime, sql) == [(2,)]
    speaker.notify("news", "second")

    async def reconnected() -> bool:
        speaker.notify("news", "third")
        return heard.count("") >= 2 and await has("third")

    await until(reconnected)
    assert await has("second") or heard.count("") >= 2
    await listener.stop()
    await speaker.stop()
