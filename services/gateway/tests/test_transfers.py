"""Imports that are slow, too many or too large: they affect only their sender."""

import asyncio
from collections.abc import AsyncIterator, Callable

from crm_kit.testing import Client, Issuer, principal
from crm_kit.testing.passing import let_pass

from .conftest import Start
from .scripted import Scripted

IMPORT = "/api/v1/leads/import"


class Slow:
    """A body that starts and then pauses until it is released."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        yield self._head
        self.begun.set()
        await self.go_on.wait()
        yield b"the end"


async def begin(client: Client, head: bytes) -> tuple[Slow, asyncio.Task[int]]:
    slow = Slow(head)

    async def send() -> int:
        return (await client.request("POST", IMPORT, body=slow.body())).status

    task = asyncio.create_task(send())
    await slow.begun.wait()
    return slow, task


async def test_bodies_that_do_not_come_keep_nobody_from_importing(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url}, CRM_TRANSFER_SLOTS=1, CRM_UPLOAD_SLOTS=8, CRM_TRANSFER_SHARE=2)
    attackers = [gateway.as_token(token_for()) for _ in range(3)]
    # One byte, and more than the gateway holds, so that it has started to pass the body on.
    slow = [await begin(attacker, head) for attacker in attackers for head in (b"x", b"x" * 200_000)]
    for attacker in attackers:
        answer = await attacker.request("POST", IMPORT, body=b"a,b")
        assert (answer.status, answer.problem, answer.headers["retry-after"]) == (429, "too-many-requests", "1")
    for _ in range(3):
        assert (await gateway.request("POST", IMPORT, body=b"a,b")).status == 201
        assert (await gateway.request("POST", IMPORT, body=b"x" * 200_000)).json["size"] == 200_000
    for one, _ in slow:
        one.go_on.set()
    assert set(await asyncio.gather(*(task for _, task in slow))) == {201}, "slow is not wrong in itself"
    assert (await attackers[0].request("POST", IMPORT, body=b"a,b")).status == 201


async def test_a_caller_keeps_up_a_least_rate(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_TRANSFER_RATE=10_000, CRM_TRANSFER_GRACE_SECONDS=60)

    async def at(rate: int) -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * rate
            let_pass(1)
            # The gateway must notice it before the next second is over.
            await asyncio.sleep(0)

    fast = await gateway.request("POST", IMPORT, body=at(20_000))
    assert (fast.status, fast.json["size"]) == (201, 2_000_000)
    for rate in (1, 1_000):
        answer = await gateway.request("POST", IMPORT, body=at(rate))
        assert (answer.status, answer.problem) == (408, "request-timeout")
        assert "10,000 bytes a second" in answer.json["detail"]


async def test_a_service_that_works_long_is_no_fault_of_the_callers(start: Start, sales: Scripted) -> None:
    sales.silent.add("/leads/import")
    gateway = await start({"sales": sales.url}, CRM_TRANSFER_GRACE_SECONDS=20, CRM_TRANSFER_WORK_SECONDS=60)
    working = asyncio.create_task(gateway.request("POST", IMPORT, body=b"a,b"))
    await sales.until_waiting(1)
    let_pass(30)
    assert (await gateway.get("/api/v1/leads/echo")).status == 200
    assert not working.done(), "its caller has nothing to send"
    let_pass(30)
    answer = await working
    assert (answer.status, answer.problem) == (504, "deadline-exceeded")


async def test_a_body_that_is_here_waits_for_a_slot_and_then_is_told(
    start: Start, sales: Scripted, issuer: Issuer
) -> None:
    sales.silent.add("/leads/import")
    gateway = await start({"sales": sales.url}, CRM_TRANSFER_SLOTS=1, CRM_IDLE_SECONDS=60)
    working = asyncio.create_task(gateway.request("POST", IMPORT, body=b"a,b"))
    await sales.until_waiting(1)
    caller = principal()
    other = gateway.as_token(issuer.token(caller))
    for body in (b"a,b", b"x" * 200_000):
        waiting = asyncio.create_task(other.request("POST", IMPORT, body=body))
        async with asyncio.timeout(120):
            while not gateway.upstreams["sales"].transfers._working.waiting(caller.id):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.005)
        let_pass(60)
        answer = await waiting
        assert (answer.status, answer.problem) == (503, "unavailable")
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await sales.until_waiting(0)
    sales.silent.clear()
    assert (await other.request("POST", IMPORT, body=b"x" * 200_000)).status == 201


async def test_an_import_has_a_size_too(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_MAX_TRANSFER_BYTES=300_000)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 65_536

    assert (await gateway.request("POST", IMPORT, body=b"x" * 300_000)).json["size"] == 300_000
    for answer in (
        await gateway.request("POST", IMPORT, body=b"x" * 300_001),
        await gateway.request("POST", IMPORT, body=endless()),
    ):
        assert (answer.status, answer.problem, answer.json["limit"]) == (413, "body-too-large", 300_000)
