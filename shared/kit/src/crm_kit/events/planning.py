"""Plans which of a transaction's events run in each group, which wait, and which are outdated.

Planning locks what the transaction changes: the rows of the events and the positions of their records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from crm_contracts.envelope import EnvelopeError
from crm_kit.events import deferred, inbox, own_rows
from crm_kit.events.consumers import Consumers, Group
from crm_kit.events.deferred import Failure
from crm_kit.events.failures import key_of
from crm_kit.events.inbox import UNRESTORED, EventKey, Heard, Line, Unfinished
from crm_kit.events.ordering import Place, decide
from crm_kit.events.received import Message, describe

SUCCESSORS = 200
"""The most waiting events of one record that one transaction handles. Later transactions handle the rest."""

Pair = tuple[Message, Group]


class NewEpochs(Exception):
    """Groups got events of a new epoch for the first time, because a publisher was restored. Epochs by group and source."""

    def __init__(self, epochs: dict[tuple[str, str], int]) -> None:
        self.epochs = epochs


@dataclass(slots=True)
class Plan:
    """What one transaction will do for one group, and the outcome."""

    group: Group
    run: list[Message] = field(default_factory=list)
    wait: list[Message] = field(default_factory=list)
    stale: list[Message] = field(default_factory=list)
    reached: dict[Line, Place] = field(default_factory=dict)
    anew: set[UUID] = field(default_factory=set)
    """Records whose publisher was restored. Its events replace the copies, whatever their versions."""
    failed: list[tuple[Message, Failure]] = field(default_factory=list)
    """Events that failed and are stored, for another attempt or for an operator."""

    def done(self) -> list[EventKey]:
        """Return the keys of stored events that are done."""
        return [key_of(message, self.group) for message in (*self.run, *self.stale) if message.attempts]

    def kept_failures(self) -> list[Failure]:
        """Return the failures of events that have a row in the inbox."""
        return [failure for message, failure in self.failed if message.attempts or not self.group.keyless]

    def new_failures(self) -> list[Failure]:
        """Return the failures of events that have no row in the inbox yet."""
        return [failure for message, failure in self.failed if self.group.keyless and not message.attempts]

    def positions(self) -> list[tuple[Line, Place, bool]]:
        """Return the new position of each record that has one, and whether the record is deleted there."""
        last: dict[Line, Message] = {}
        for message in self.run if self.reached else ():
            line = line_of(message, self.group)
            if message.place > (last[line].place if line in last else self.reached[line]):
                last[line] = message
        return [(line, message.place, ".deleted.v" in message.envelope.type) for line, message in last.items()]


async def plan_all(conn: AsyncConnection, consumers: Consumers, concerned: Sequence[Pair]) -> list[Plan]:
    """Decide which events run. Plans are in the order of registration, so that all processes lock rows in the same order."""
    keyless = {group.name for _, group in concerned if group.keyless}
    plans = await _plan_keyless(conn, [pair for pair in concerned if pair[1].name in keyless])
    plans += await _plan_keyed(conn, [pair for pair in concerned if pair[1].name not in keyless])
    places = {name: place for place, name in enumerate(consumers.groups)}
    return sorted(plans, key=lambda plan: places[plan.group.name])


async def _plan_keyless(conn: AsyncConnection, concerned: Sequence[Pair]) -> list[Plan]:
    """Plan keyless projections. They run all events, because their rows show which are new. Rows are looked up only if a
    publisher was restored or an event comes from the store."""
    plans: dict[str, Plan] = {}
    for message, group in concerned:
        plans.setdefault(group.name, Plan(group)).run.append(message)
    if not plans:
        return []
    heard = await inbox.heard_epochs(conn, plans)
    news: dict[tuple[str, str], int] = {}
    for message, group in concerned:
        pair = group.name, message.envelope.source
        if message.envelope.epoch > max(heard.get(pair, UNRESTORED).epoch, news.get(pair, 0)):
            news[pair] = message.envelope.epoch
    if news:
        raise NewEpochs(news)
    claimed = [key_of(message, group) for message, group in concerned if message.attempts]
    still = await inbox.bodies(conn, claimed)
    for plan in plans.values():
        plan.run = [m for m in plan.run if not m.attempts or key_of(m, plan.group) in still]
        restored = any((plan.group.name, message.envelope.source) in heard for message in plan.run)
        if restored or (plan.group.copies and any(message.attempts for message in plan.run)):
            await _look_up(conn, plan, heard)
        else:
            plan.run.sort(key=_version)
    return list(plans.values())


async def _look_up(conn: AsyncConnection, plan: Plan, heard: Mapping[tuple[str, str], Heard]) -> None:
    """Remove events that are older than the group's rows, or that the restored publisher no longer has.

    A row per event does not show whether the restored publisher still has the event. Positions are therefore kept of
    records whose publisher was restored.
    """
    lines: dict[Line, list[Message]] = {}
    for message in plan.run:
        lines.setdefault(line_of(message, plan.group), []).append(message)
    plan.run = []
    if not lines:
        return
    if plan.group.each_event:
        for line, position in (await inbox.lock_positions(conn, lines)).items():
            _decide(plan, line, position, lines[line], [], blocked=False)
        return
    copies = await own_rows.lock_copies(conn, plan.group, [line.entity for line in lines])
    for line, messages in lines.items():
        absent = Place(heard.get((line.consumer, line.source), UNRESTORED).taken_up, 0)
        decision = decide(plan.group, copies.get(line.entity, absent), messages, blocked=False)
        plan.run += decision.run
        plan.stale += decision.stale
        if line.entity in copies and decision.position.epoch > copies[line.entity].epoch:
            plan.anew.add(line.entity)


async def _plan_keyed(conn: AsyncConnection, concerned: Sequence[Pair]) -> list[Plan]:
    """Insert the events' keys, lock the records' positions, and decide for each record which events run."""
    if not concerned:
        return []
    fresh = await inbox.insert_done(conn, [_row(m, g) for m, g in concerned if not m.attempts])
    claimed = [(m, g) for m, g in concerned if m.attempts]
    still = await inbox.bodies(conn, [key_of(m, g) for m, g in claimed])
    lines: dict[Line, tuple[Group, list[Message]]] = {}
    plans: dict[str, Plan] = {}
    for message, group in concerned:
        key = key_of(message, group)
        if key not in fresh and key not in still:
            continue
        if group.keeps_order:
            lines.setdefault(line_of(message, group), (group, []))[1].append(message)
        else:
            plans.setdefault(group.name, Plan(group)).run.append(message)
    if not lines:
        return list(plans.values())
    positions = await inbox.lock_positions(conn, lines)
    stored = await inbox.unfinished(conn, lines)
    claims = {key_of(m, g) for m, g in claimed}
    wanted = [key for held in stored.values() for key in _first_waiting(held) if key not in claims]
    waiting = await inbox.bodies(conn, wanted)
    for line, (group, messages) in lines.items():
        plan = plans.setdefault(group.name, Plan(group))
        held = stored.get(line, [])
        extra, spoilt = await _successors(conn, [u.key for u in held if u.key in waiting], waiting)
        blocked = any(u.state in ("pending", "parked") and u.key not in claims for u in held)
        # For a step it is an ordinary gap, and the events before it may run.
        blocked |= spoilt and group.kind == "projection"
        _decide(plan, line, positions[line], messages, extra, blocked)
    return list(plans.values())


async def _successors(
    conn: AsyncConnection, keys: Sequence[EventKey], bodies: dict[EventKey, bytes]
) -> tuple[list[Message], bool]:
    """Return the waiting events, up to the first that this release cannot read, and whether there is such an event. It is
    parked."""
    found: list[Message] = []
    for key in keys:
        try:
            found.append(Message.read(bodies[key], attempts=1))
        except EnvelopeError as error:
            await deferred.park(conn, {key: describe(error)})
            return found, True
    return found, False


def _decide(
    plan: Plan, line: Line, position: Place, messages: list[Message], extra: list[Message], blocked: bool
) -> None:
    group = plan.group
    decision = decide(group, position, [*messages, *extra], blocked=blocked)
    plan.run.extend(decision.run)
    plan.wait.extend(m for m in decision.wait if m in messages)
    plan.stale.extend(decision.stale)
    plan.reached[line] = position
    if decision.position.epoch > position.epoch:
        plan.anew.add(line.entity)


def _first_waiting(stored: list[Unfinished]) -> list[EventKey]:
    waiting = sorted((u for u in stored if u.state == "waiting"), key=lambda u: u.place)
    return [u.key for u in waiting[:SUCCESSORS]]


def _version(message: Message) -> int:
    return message.envelope.entityversion


def line_of(message: Message, group: Group) -> Line:
    return Line(group.name, message.envelope.source, message.envelope.subject)


def _row(message: Message, group: Group) -> tuple[str, str, UUID, UUID, int, str]:
    envelope = message.envelope
    return group.name, envelope.source, envelope.id, envelope.subject, envelope.entityversion, envelope.type
