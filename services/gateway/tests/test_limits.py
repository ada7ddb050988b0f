"""Deadlines, sizes, guards of an upstream, and rate limits of callers."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from crm_gateway.limits import Limiter
from crm_gateway.proxy import upstream as calling
from crm_gateway.proxy.breaker import FAILURES_TO_OPEN, Breaker, Unavailable
from crm_kit import clock
from crm_kit.testing import Client
from crm_kit.testing.passing import let_pass

from .conftest import Start
from .scripted import Scripted, scripted

MIB = 1024 * 1024
HOP = 20


async def test_a_hung_service_costs_its_callers_the_hop_and_the_others_nothing(start: Start, sales: Scripted) -> None:
    async with scripted() as activities:
        gateway = await start({"sales": sales.url, "activities": activities.url}, CRM_HOP_SECONDS=HOP)
        hanging = [asyncio.create_task(gateway.get("/api/v1/leads/hang")) for _ in range(20)]
        await sales.until_waiting(20)
        swift = await asyncio.gather(*(gateway.get("/api/v1/tasks") for _ in range(50)))
        assert {answer.status for answer in swift} == {200}
        assert not any(task.done() for task in hanging)
        let_pass(HOP)
        answers = await asyncio.gather(*hanging)
        assert {(answer.status, answer.problem) for answer in answers} == {(504, "deadline-exceeded")}


async def test_the_callers_own_deadline_holds_when_it_is_shorter(gateway: Client, sales: Scripted) -> None:
    for _ in range(FAILURES_TO_OPEN + 1):
        answer = await gateway.get("/api/v1/leads/hang", headers={"crm-deadline-ms": "100"})
        assert answer.problem == "deadline-exceeded"
    assert (await gateway.get("/api/v1/leads/echo")).status == 200, "callers in a hurry do not open the breaker"


async def test_a_deadline_that_is_no_number_is_refused(gateway: Client) -> None:
    answer = await gateway.get("/api/v1/leads/echo", headers={"crm-deadline-ms": "soon"})
    assert (answer.status, answer.problem) == (400, "invalid-header")


async def test_ten_seconds_in_all_count_from_the_first_byte_of_the_request(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_TOTAL_SECONDS=0.5)
    never = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await never.wait()

    answer = await gateway.request("POST", "/api/v1/leads/echo", body=slow())
    assert (answer.status, answer.problem) == (408, "request-timeout")
    assert sales.seen == [], "a body that is not here yet holds no slot of the service"


async def test_a_transfer_may_take_long_but_not_stand_still(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_TOTAL_SECONDS=20, CRM_HOP_SECONDS=20, CRM_IDLE_SECONDS=60)
    hasty = await start({"sales": sales.url}, CRM_IDLE_SECONDS=0.6)
    never = asyncio.Event()

    async def moving() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 70_000
            let_pass(10)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"x" * 70_000
        await never.wait()

    assert (await gateway.request("POST", "/api/v1/leads/import", body=moving())).json["size"] == 700_000
    answer = await hasty.request("POST", "/api/v1/leads/import", body=stalled())
    assert (answer.status, answer.problem) == (408, "request-timeout")


async def test_a_body_that_says_it_is_too_large_is_refused_unread(gateway: Client, sales: Scripted) -> None:
    answer = await gateway.request("POST", "/api/v1/leads/echo", body=b"x" * (MIB + 1))
    assert (answer.status, answer.problem, answer.json["limit"]) == (413, "body-too-large", MIB)
    assert sales.seen == []


async def test_a_body_that_turns_out_too_large_is_cut_off(gateway: Client) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 65_536

    answer = await gateway.request("POST", "/api/v1/leads/echo", body=endless())
    assert (answer.status, answer.problem) == (413, "body-too-large")
    assert (await gateway.get("/api/v1/leads/echo")).status == 200


async def test_a_body_of_just_the_limit_passes(gateway: Client) -> None:
    assert (await gateway.request("POST", "/api/v1/leads/echo", body=b"x" * MIB)).json["size"] == MIB


async def test_a_full_upstream_refuses_at_once_and_recovers(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url}, CRM_UPSTREAM_SLOTS=2, CRM_TRANSFER_SLOTS=1)
    others = [gateway.as_token(token_for()) for _ in range(2)]
    hanging = [asyncio.create_task(other.get("/api/v1/leads/hang")) for other in others]
    await sales.until_waiting(2)
    answer = await gateway.get("/api/v1/leads/echo")
    assert not any(task.done() for task in hanging), "it did not wait for a slot"
    assert (answer.status, answer.problem, answer.headers["retry-after"]) == (503, "unavailable", "1")
    transfer = await gateway.request("POST", "/api/v1/leads/import", body=b"a,b")
    assert transfer.status == 201, "imports have slots of their own"
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await sales.until_waiting(0)
    assert (await gateway.get("/api/v1/leads/echo")).status == 200


async def test_one_caller_never_has_all_slots_of_an_upstream(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url}, CRM_UPSTREAM_SLOTS=4)
    hanging = [asyncio.create_task(gateway.get("/api/v1/leads/hang")) for _ in range(2)]
    await sales.until_waiting(2)
    refused = await gateway.get("/api/v1/leads/echo")
    assert (refused.status, refused.problem, refused.headers["retry-after"]) == (429, "too-many-requests", "1")
    assert (await gateway.as_token(token_for()).get("/api/v1/leads/echo")).status == 200
    hanging.pop().cancel()
    await sales.until_waiting(1)
    assert (await gateway.get("/api/v1/leads/echo")).status == 200
    hanging.pop().cancel()
    await sales.until_waiting(0)


async def test_a_hundred_slow_calls_of_one_caller_are_no_failure_of_the_upstream(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url}, CRM_HOP_SECONDS=HOP)
    other = gateway.as_token(token_for())
    for _ in range(2):
        slow = [asyncio.create_task(gateway.get("/api/v1/leads/hang")) for _ in range(50)]
        await sales.until_waiting(50)
        let_pass(HOP)
        assert {answer.problem for answer in await asyncio.gather(*slow)} == {"deadline-exceeded"}
        # A POST is never sent twice, and never answered by the breaker.
        assert (await other.post("/api/v1/leads/echo", {})).status == 201
        assert (await gateway.post("/api/v1/leads/echo", {})).status == 201


async def test_an_upstream_that_says_nothing_at_all_is_given_up(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_HOP_SECONDS=HOP)
    sales.silent |= {"/leads/echo", "/healthz"}
    asking = [asyncio.create_task(gateway.get("/api/v1/leads/echo")) for _ in range(FAILURES_TO_OPEN)]
    await sales.until_waiting(FAILURES_TO_OPEN)
    let_pass(HOP)
    assert {answer.problem for answer in await asyncio.gather(*asking)} == {"deadline-exceeded"}
    assert not gateway.upstreams["sales"].breaker.open, "it is asked first whether it is there at all"
    await sales.until_waiting(1)
    let_pass(calling.HEALTH_SECONDS)
    await sales.until_waiting(0)
    assert (await gateway.get("/api/v1/leads/echo")).problem == "unavailable"
    sales.silent.clear()
    async with asyncio.timeout(120):
        while (await gateway.get("/api/v1/leads/echo")).status != 200:  # noqa: ASYNC110  # nobody tells that it is over
            await asyncio.sleep(0.1)


async def test_a_service_that_is_down_is_503_and_comes_back_by_itself(start: Start) -> None:
    server = await asyncio.start_server(_answer_empty, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    gateway = await start({"sales": f"http://127.0.0.1:{port}"})
    for _ in range(FAILURES_TO_OPEN + 1):
        answer = await gateway.post("/api/v1/leads", {})
        assert (answer.status, answer.problem) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    async with await asyncio.start_server(_answer_empty, "127.0.0.1", port):
        await asyncio.sleep(int(answer.headers["retry-after"]))
        assert (await gateway.post("/api/v1/leads", {})).status == 200


async def _answer_empty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


class TestBreaker:
    """The breaker with a clock of the test."""

    @pytest.fixture(autouse=True)
    def at_noon(self) -> None:
        self.now = 0.0
        self.breaker = Breaker("sales", lambda: self.now)

    def fail(self, times: int) -> None:
        for _ in range(times):
            self.breaker.admit()
            self.breaker.failed()

    def test_opens_after_failures_in_a_row_only(self) -> None:
        self.fail(FAILURES_TO_OPEN - 1)
        self.breaker.succeeded()
        self.fail(FAILURES_TO_OPEN - 1)
        assert not self.breaker.open
        self.fail(1)
        assert self.breaker.open
        with pytest.raises(Unavailable):
            self.breaker.admit()

    def test_lets_one_call_try_after_a_pause(self) -> None:
        self.fail(FAILURES_TO_OPEN)
        self.now = 1.0
        assert self.breaker.admit()
        with pytest.raises(Unavailable):
            self.breaker.admit()
        self.breaker.succeeded()
        assert not self.breaker.admit()

    def test_pauses_twice_as_long_after_each_failed_try_up_to_eight_seconds(self) -> None:
        self.fail(FAILURES_TO_OPEN)
        pauses = []
        for _ in range(5):
            began = self.now
            while True:
                try:
                    self.breaker.admit()
                    break
                except Unavailable:
                    self.now += 0.5
            pauses.append(self.now - began)
            self.breaker.failed()
        assert pauses == [1, 2, 4, 8, 8]

    def test_an_abandoned_try_lets_another_one_try(self) -> None:
        self.fail(FAILURES_TO_OPEN)
        self.now = 1.0
        assert self.breaker.admit()
        self.breaker.abandoned()
        assert self.breaker.admit()


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, so that nothing is refilled."""
    moment = clock.monotonic()
    monkeypatch.setattr(clock, "monotonic", lambda: moment)


@pytest.mark.usefixtures("no_time_passes")
async def test_a_caller_who_sends_too_much_waits_and_nobody_else(
    start: Start, sales: Scripted, token_for: Callable[[], str]
) -> None:
    gateway = await start({"sales": sales.url}, CRM_REQUESTS_PER_SECOND=1, CRM_REQUEST_BURST=3)
    answers = [await gateway.get("/api/v1/leads/echo") for _ in range(4)]
    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"caller";q=3;w=3'
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"caller";r=2;t=1',
        '"caller";r=1;t=2',
        '"caller";r=0;t=3',
        '"caller";r=0;t=3',
    ]
    assert answers[3].problem == "too-many-requests"
    assert answers[3].headers["retry-after"] == "1"
    assert len(sales.seen) == 3
    assert (await gateway.as_token(token_for()).get("/api/v1/leads/echo")).status == 200


@pytest.mark.usefixtures("no_time_passes")
async def test_unknown_tokens_are_counted_by_address(start: Start, sales: Scripted) -> None:
    gateway = await start({"sales": sales.url}, CRM_REQUESTS_PER_SECOND=1, CRM_REQUEST_BURST=3)
    forged = [await gateway.as_token(f"x.y.{number}").get("/api/v1/leads") for number in range(5)]
    assert [answer.status for answer in forged] == [401, 401, 401, 429, 429]


def test_a_bucket_refills_at_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    limiter = Limiter(rate=500, burst=1000)
    assert sum(limiter.take("a") >= 0 for _ in range(1500)) == 1000
    now += 0.25
    assert sum(limiter.take("a") >= 0 for _ in range(1500)) == 125
    now += 3600
    assert sum(limiter.take("a") >= 0 for _ in range(1500)) == 1000
