"""What stands in a log line of a handler, and what never does."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog

from crm_kit import clock
from crm_kit.events.consumers import Consumers
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.signals import logs
from crm_kit.work.uow import UnitOfWork

from .conftest import Story
from .miniature import ThingCreated, ThingRenamed

SECRET = "Zaphod Beeblebrox"


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Logs as a process of ours writes them; call it for the lines since the last call."""
    stream = io.StringIO()
    before = logging.root.handlers[:], logging.root.level
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up("mini", "worker", "INFO")
    # A logger that is kept would write to the captured stream of this test in those after it.
    structlog.configure(cache_logger_on_first_use=False)

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.truncate(stream.seek(0))
        # The runtime looks for keys on its own, and there is no identity here to ask.
        return [line for line in found if not line["event"].startswith("keys not fetched")]

    yield lines
    structlog.reset_defaults()
    logging.root.handlers[:] = before[0]
    logging.root.setLevel(before[1])


def of_trace(message: Message, trace_id: str) -> Message:
    document = json.loads(message.body)
    return Message.read(json.dumps({**document, "traceparent": f"00-{trace_id}-{'1' * 16}-01"}).encode())


def ids_of(message: Message) -> dict[str, str]:
    envelope = message.envelope
    return {
        "event_id": str(envelope.id),
        "event_type": envelope.type,
        "correlation_id": str(envelope.correlationid),
        "trace_id": str(envelope.traceparent).split("-")[1],
    }


async def test_every_line_of_a_handler_carries_the_ids_of_its_event(
    runtime: Runtime, story: Story, written: Any
) -> None:
    log, library = structlog.get_logger(), logging.getLogger("some.library")
    listening = Consumers("mini")

    @listening.step(ThingCreated, ThingRenamed, group="mini.talkative")
    async def talk(event: ThingCreated | ThingRenamed, uow: UnitOfWork) -> None:
        log.info("handler.ours", things=1)
        library.warning("took %d of %s in %.1f s", 3, event.record.name, 0.25)
        if isinstance(event, ThingRenamed):
            raise LookupError(f"nobody is called {event.record.name}")

    dispatcher = Dispatcher(listening, runtime, {("mini.talkative", "/crm/mini"): clock.now()})
    first, second = of_trace(story.tell("created", SECRET), "a" * 32), of_trace(story.tell("renamed", SECRET), "b" * 32)
    await dispatcher.settle([first])
    ours, theirs = written()
    expected = {**ids_of(first), "group": "mini.talkative", "service": "mini", "role": "worker"}
    assert (ours["event"], theirs["event"]) == ("handler.ours", "took 3 of <str> in 0.2 s")
    assert (theirs["logger"], theirs["level"]) == ("some.library", "warning")
    for line in (ours, theirs):
        assert {key: line[key] for key in expected} == expected

    await dispatcher.settle([second])
    *_, failed = lines = written()
    assert (failed["event"], failed["state"], failed["error"].partition(" ")[0]) == (
        "inbox.failed",
        "pending",
        "LookupError",
    )
    for line in lines:
        assert {key: line[key] for key in expected} == {**expected, **ids_of(second)}
        assert SECRET not in json.dumps(line)

    log.info("afterwards")
    assert "event_id" not in written()[0]


async def test_a_handler_of_many_events_names_them_all(runtime: Runtime, written: Any) -> None:
    log, listening = structlog.get_logger(), Consumers("mini")

    @listening.projection(ThingCreated, group="mini.many")
    async def talk(events: Sequence[ThingCreated], uow: UnitOfWork) -> None:
        log.info("handler.ours", things=len(events))

    messages = [of_trace(Story().tell("created"), sign * 32) for sign in "ab"]
    await Dispatcher(listening, runtime, {("mini.many", "/crm/mini"): clock.now()}).settle(messages)
    [line] = written()
    assert line["event_type"] == "crm.mini.thing.created.v1"
    for key in ("event_id", "correlation_id", "trace_id"):
        assert sorted(line[key]) == sorted(ids_of(message)[key] for message in messages)


async def test_what_a_library_says_of_an_exception_holds_no_value(written: Any) -> None:
    library = logging.getLogger("some.library")
    try:
        raise ValueError(f"no such person: {SECRET}")
    except ValueError as error:
        library.exception("Exception in application\nasked for %s", SECRET)
        library.error(error)
        library.error("failed for %(who)s after %(times)d", {"who": SECRET, "times": 3})
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"Exception in callback greet('{SECRET}')", "exception": error}
        )
    lines = written()
    assert [line["event"] for line in lines] == [
        "Exception in application",
        "<ValueError>",
        "failed for <str> after 3",
        "Exception in callback greet",
    ]
    assert lines[0]["exception"] == lines[3]["exception"] == "ValueError"
    assert lines[0]["stack"][0].startswith("test_logs.py:")
    assert SECRET not in json.dumps(lines)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (
            "/api/v1/leads/0198c1de-7a3b-7c00-8000-0123456789ab/qualify",
            "/api/v1/leads/0198c1de-7a3b-7c00-8000-0123456789ab/qualify",
        ),
        ("/api/v1/customers/0198c1de-7a3b-7c00-8000-0123456789ab/360", None),
        ("/api/v1/leads/ada@engines.example", "/api/v1/leads/*"),
        ("/api/v1/leads/佐藤/+491701234567/Ada Lovelace/491701234567", "/api/v1/leads/*/*/*/*"),
    ],
)
def test_a_path_is_told_without_what_no_path_of_ours_holds(path: str, shown: str | None) -> None:
    assert logs.masked(path) == (shown or path)


_ON_A_FULL_DISK = """
import logging
import structlog
from crm_kit.signals import logs
logs.set_up("mini", "worker", "INFO")
for number in range(1000):
    structlog.get_logger("mini").info("still here", number=number)
    logging.getLogger("library").warning("still there")
# Standard output is a file with room.
print(int(logs.LOST.labels().value >= 2000))
"""


def test_a_full_disk_ends_no_process_that_logs() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device, not a file of ours
        done = subprocess.run(
            [sys.executable, "-c", _ON_A_FULL_DISK], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert done.stdout == "1\n"
