"""What an operator sees and changes when thousands of events are parked: by group, type, reason and time, and by the page."""

import asyncio
import json
import socket
from typing import Any

import pytest

from crm_kit.events import inbox
from crm_kit.operating import events_command
from crm_kit.operating.stored import PAGE
from crm_kit.process.runtime import Runtime

from .conftest import rows, until
from .test_relay import make_things

MANY = 2 * PAGE + 7

PARK = """
insert into inbox (consumer, source, event_id, entity, entity_version, type, state, attempts, last_error, body, received_at)
select $1, '/crm/mini', gen_random_uuid(), gen_random_uuid(), 1, $2, 'parked', 7, $3, '{}',
  now() - make_interval(hours => $4, secs => n)
from generate_series(1, $5) n returning 1
"""
STATES = "select consumer, state, count(*)::int from inbox group by 1, 2 order by 1, 2"


async def park(
    runtime: Runtime,
    count: int,
    *,
    group: str = "mini.copies",
    type_: str = "created",
    error: str = "LookupError",
    hours: int = 0,
) -> None:
    assert len(await rows(runtime, PARK, group, f"crm.mini.thing.{type_}.v1", error, hours, count)) == count


@pytest.fixture
def crm(database_url: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs ``crm events …``: its exit code, its lines, and what it said beside them."""

    async def run(*arguments: str) -> tuple[int, list[str], str]:
        code = await asyncio.to_thread(events_command.main, arguments, {"mini": database_url})
        told = capsys.readouterr()
        # The runtime of the test logs to the same place.
        return code, [line for line in told.out.splitlines() if "keys not fetched" not in line], told.err

    return run


async def test_thousands_are_shown_page_by_page_the_oldest_first(crm: Any, runtime: Runtime) -> None:
    await park(runtime, MANY)
    code, lines, said = await crm("parked", "--json", "--limit", "0")
    shown = [json.loads(line) for line in lines]
    assert (code, len(shown), said) == (0, MANY, "")
    assert len({entry["event_id"] for entry in shown}) == MANY
    ages = [round(entry["age_seconds"]) for entry in shown]
    assert ages == sorted(ages, reverse=True)
    _, lines, said = await crm("parked")
    assert len(lines) == 1000
    assert said == f"mini: the oldest 1000 of {MANY} are shown; --limit shows more, --by counts them\n"


async def test_they_are_counted_by_what_they_have_in_common(crm: Any, runtime: Runtime) -> None:
    await park(runtime, 3)
    await park(runtime, 5, group="mini.journal", error="ValidationError: record.name: string_type")
    await park(runtime, 4, type_="renamed", hours=2)
    found = {}
    for by in ("group", "type", "reason"):
        code, lines, _ = await crm("parked", "--by", by, "--json")
        assert code == 0
        found[by] = {total["value"]: total["events"] for total in map(json.loads, lines)}
    assert found == {
        "group": {"mini.copies": 7, "mini.journal": 5},
        "type": {"crm.mini.thing.created.v1": 8, "crm.mini.thing.renamed.v1": 4},
        "reason": {"LookupError": 7, "ValidationError: record.name: string_type": 5},
    }
    _, lines, _ = await crm("parked", "--by", "group")
    assert [line.split()[:2] + line.split()[-1:] for line in lines] == [
        ["mini", "7", "mini.copies"],
        ["mini", "5", "mini.journal"],
    ]


@pytest.mark.parametrize(
    ("chosen", "count"),
    [
        (["--group", "mini.journal"], 5),
        (["--type", "crm.mini.thing.renamed.v1"], 4),
        (["--type", "crm.mini.*.created.*"], 8),
        (["--reason", "STRING_TYPE"], 5),
        (["--reason", "string%type"], 0),
        (["--since", "1h"], 8),
        (["--since", "1h", "--group", "mini.copies"], 3),
        (["--service", "mini", "--limit", "2"], 2),
    ],
)
async def test_filters_leave_what_they_say(crm: Any, runtime: Runtime, chosen: list[str], count: int) -> None:
    await park(runtime, 3)
    await park(runtime, 5, group="mini.journal", error="ValidationError: record.name: string_type")
    await park(runtime, 4, type_="renamed", hours=2)
    assert len((await crm("parked", *chosen))[1]) == count
    code, lines, _ = await crm("retry", *chosen, "--json", *(["--all"] if "--limit" in chosen else []))
    assert code == (0 if count else 1)
    assert json.loads(lines[0])["changed"] == count
    assert dict(await rows(runtime, "select state, count(*)::int from inbox group by 1")) == {
        state: number for state, number in (("parked", 12 - count), ("pending", count)) if number
    }


async def test_many_are_left_out_after_a_count_and_a_yes(crm: Any, runtime: Runtime) -> None:
    await park(runtime, MANY)
    await park(runtime, 2, group="mini.journal")
    skip = ("skip", "--group", "mini.copies", "--reason", "known bug")
    code, lines, said = await crm(*skip)
    assert (code, lines) == (1, [f"mini: {MANY} of mini.copies"])
    assert said == "nothing was changed; --yes leaves them out without asking\n"
    assert await crm(*skip, "--dry-run") == (0, [f"mini: {MANY} of mini.copies"], "")
    assert await rows(runtime, STATES) == [("mini.copies", "parked", MANY), ("mini.journal", "parked", 2)]
    code, lines, _ = await crm(*skip, "--limit", "3", "--yes")
    assert (code, lines[-1]) == (0, "3 changed")
    code, lines, _ = await crm(*skip, "--yes")
    assert (code, lines) == (0, [f"mini: {MANY - 3} of mini.copies", f"{MANY - 3} changed"])
    assert await rows(runtime, STATES) == [("mini.copies", "skipped", MANY), ("mini.journal", "parked", 2)]
    assert await rows(runtime, "select distinct version, count(*)::int from inbox_position group by 1") == [(1, MANY)]


@pytest.mark.parametrize(
    "command", [["retry"], ["skip", "--reason", "x"], ["parked", "--limit", "-1"], ["parked", "--since", "x"]]
)
def test_what_is_not_said_is_not_guessed(command: list[str]) -> None:
    with pytest.raises(SystemExit):
        events_command.main(command, {"mini": "postgresql://nobody@nowhere/nothing"})


async def test_a_retry_goes_on_when_an_event_is_published_meanwhile(crm: Any, runtime: Runtime) -> None:
    """It moves to another part of its table then, where no statement that has waited for it follows."""
    await make_things(runtime, 2)
    await rows(runtime, "update outbox set next_attempt_at = now() + interval '1 hour' returning 1")
    async with runtime.db.begin() as relay:
        mark = "update outbox set state = 'published', published_at = now() where seq = (select min(seq) from outbox)"
        await relay.exec_driver_sql(mark)
        retrying = asyncio.create_task(crm("retry", "--all"))

        async def is_waiting() -> bool:
            # Of this database: others on the server wait for each other, too.
            waits = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')"
            return await rows(runtime, waits) == [(True,)]

        await until(is_waiting)
    assert await retrying == (0, ["mini: 2 of relay", "1 changed"], "")


async def test_a_dry_run_counts_what_a_retry_changes(crm: Any, runtime: Runtime) -> None:
    await park(runtime, 3)
    # What no group could read has nothing to be tried again.
    await park(runtime, 2, group="crm.mini.inbox")
    await make_things(runtime, 2)
    delay = "update outbox set next_attempt_at = now() + interval '1 hour' where seq = (select min(seq) from outbox) returning 1"
    await rows(runtime, delay)
    code, lines, _ = await crm("retry", "--all", "--dry-run", "--json")
    assert (code, json.loads(lines[0])["matched"]) == (0, 4)
    assert await crm("retry", "--all", "--dry-run") == (0, ["mini: 3 of mini.copies", "mini: 1 of relay"], "")
    assert json.loads((await crm("retry", "--all", "--json"))[1][0])["changed"] == 4


async def test_a_service_alone_says_which_events_are_meant(crm: Any, runtime: Runtime) -> None:
    await park(runtime, 2)
    assert (await crm("retry", "--service", "mini"))[1][-1] == "2 changed"


async def test_a_group_that_nobody_has_is_told_with_those_there_are(crm: Any, runtime: Runtime) -> None:
    async with runtime.db.begin() as conn:
        await inbox.remember_bound(conn, [("mini.copies", "/crm/mini")])
    for command in (("parked",), ("retry", "--dry-run"), ("skip", "--yes", "--reason", "none")):
        code, lines, said = await crm(*command, "--group", "mini.copy")
        assert (code, lines) == (1, [])
        assert said == "there is no handler group mini.copy; there are mini.copies, relay\n"
    await park(runtime, 1, group="mini.former")
    assert len((await crm("parked", "--group", "mini.former"))[1]) == 1
    assert await crm("parked", "--group", "mini.copies") == (0, [], "nothing is parked\n")


async def test_what_is_not_published_belongs_to_the_relay(crm: Any, runtime: Runtime) -> None:
    await make_things(runtime, 2)
    assert len((await crm("pending", "--group", "relay"))[1]) == 2


@pytest.mark.parametrize("by", [(), ("--by", "reason")])
async def test_an_empty_list_says_so(crm: Any, runtime: Runtime, by: tuple[str, ...]) -> None:
    assert await crm("parked", *by) == (0, [], "nothing is parked\n")
    assert await crm("pending", *by) == (0, [], "nothing is pending\n")


@pytest.mark.parametrize("command", [("parked",), ("snapshot", "--from", "mini", "--types", "thing", "--to", "q")])
def test_a_server_that_is_not_there_is_named_with_the_reason(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        url = f"postgresql://operator:hidden@127.0.0.1:{port}/liaison_crm_mini"
        assert events_command.main(command, {"mini": url}) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"the database cannot be used: PostgreSQL at 127.0.0.1:{port}/liaison_crm_mini: ")
    assert "refused" in said
    assert "hidden" not in said
