"""``GET /{collection}/{id}/history``: the changes of a record with actor, time, old and new values. Newest first."""

from collections.abc import Awaitable, Callable, Sequence, Set
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from crm_contracts.access import Depth, Privilege
from crm_contracts.sentences import said
from crm_contracts.types import UtcDatetime
from crm_kit.errors import DomainError, FieldError, Merged, NotFound
from crm_kit.records.answers import READ_HEADERS, UncountedPage
from crm_kit.records.listing import DEFAULT_PAGE, MAX_PAGE
from crm_kit.store.presenter import Presenter, presenter_of, to_json
from crm_kit.store.record import Record
from crm_kit.work.uow import UnitOfWork


class HistoryItem(BaseModel):
    """A version of a record and the change that made it."""

    version: int = Field(description="The version that this change made.")
    fact: str = Field(description="The kind of change: created, updated, qualified, …", examples=["updated"])
    at: UtcDatetime = Field(description="The instant of the change, in UTC.")
    actor: str = Field(description="`user:<id>`, `client:<id>`, `system:<service>` or `operator:<login>`.")
    event_id: UUID = Field(description="Id of the event that announced the change.")
    correlation_id: str = Field(description="The `Crm-Correlation-Id` of the request that caused the change.")
    changes: dict[str, Any] | None = Field(description="`{field: {old, new}}`; null if `record` is given.")
    record: dict[str, Any] | None = Field(description="The record as it was created, or as it was before its deletion.")


HistoryPage = UncountedPage[HistoryItem]


Read = Callable[[UnitOfWork, UUID], Awaitable[Record]]


async def history(
    uow: UnitOfWork, entity: type[Record], record_id: UUID, request: Request, read: Read | None = None
) -> Response:
    """Return a page of the history of a record that the caller may read. ``read`` is how, unless by its owner.

    The history of a deleted or merged record needs the depth of the organisation. Raises 403 and 404, 410 for a merged record,
    and 400 ``invalid-parameter`` for a wrong ``limit`` or ``after``.
    """
    depth = uow.principal.require(entity.entity(), Privilege.READ)
    try:
        await (read(uow, record_id) if read is not None else uow.read(entity, record_id))
    except (NotFound, Merged):
        if depth is not Depth.ORGANIZATION:
            raise
    limit, after = _bounds(request)
    rows = (
        await (await uow.connection()).exec_driver_sql(
            "select version, fact, at, actor, event_id, correlation_id, changes::text as changes,"
            " record::text as record from audit"
            " where entity_id = $1 and entity_type = $2 and version < $3 order by version desc limit $4",
            (record_id, entity.entity(), after, limit + 1),
        )
    ).all()
    if not rows and after == NEWEST:
        raise NotFound(entity.entity())
    found = await _readable(uow, presenter_of(entity), rows[:limit])
    following = str(found[-1]["version"]) if len(rows) > limit else None
    return Response(to_json({"items": found, "next": following}), 200, READ_HEADERS, "application/json")


NEWEST = 2**31 - 1


async def _readable(uow: UnitOfWork, presenter: Presenter, rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows as items. A referenced record has the name that it had then, or no name if the caller may not read it now.

    Only the history of an entity that refers to others by name is parsed. One statement looks up the owners of those records.
    """
    if not (presenter.references or presenter.parts):
        return [_item(row, _as_kept(row.changes), _as_kept(row.record)) for row in rows]
    read = [(row, orjson.loads(row.changes or "null"), orjson.loads(row.record or "null")) for row in rows]
    states = [state for _, changes, record in read for state in (*_sides(changes), record or {})]
    targets = {target for state in states for target in presenter.pointing(state)}
    await uow.names.learn_of(targets)
    if hidden := uow.names.hidden(targets):
        for _, changes, record in read:
            presenter.hide(record or {}, hidden)
            _hide(presenter, changes or {}, hidden)
    return [_item(row, changes, record) for row, changes, record in read]


def _sides(changes: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return the old values and the new values of the changed fields."""
    return [{field: values[side] for field, values in (changes or {}).items()} for side in ("old", "new")]


def _hide(presenter: Presenter, changes: dict[str, Any], hidden: Set[str]) -> None:
    old, new = (presenter.hide(side, hidden) for side in _sides(changes))
    for field in changes:
        changes[field] = {"old": old[field], "new": new[field]}


def _as_kept(text: str | None) -> orjson.Fragment | None:
    return orjson.Fragment(text) if text else None


def _bounds(request: Request) -> tuple[int, int]:
    limit, after = (
        request.query_params.get(name, default)
        for name, default in (("limit", str(DEFAULT_PAGE)), ("after", str(NEWEST)))
    )
    for name, text, top in (("limit", limit, MAX_PAGE), ("after", after, NEWEST)):
        if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= top):
            message = said("Send a number from 1 to {top} as {name}.", top=top, name=name)
            raise DomainError("invalid-parameter", message, (FieldError(name, "invalid-value", message),))
    return int(limit), int(after)


def _item(row: Any, changes: Any, record: Any) -> dict[str, Any]:
    return {
        "version": row.version,
        "fact": row.fact,
        "at": row.at,
        "actor": row.actor,
        "event_id": row.event_id,
        "correlation_id": row.correlation_id,
        "changes": changes,
        "record": record,
    }
