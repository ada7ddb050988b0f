"""Builds the responses of routes: a record, a created record, an empty response, or a page. Each is serialised once."""

import inspect
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from functools import cache
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from crm_contracts.access import Privilege
from crm_contracts.catalogue import entity_named
from crm_kit.store.presenter import (
    NOTHING,
    Presenter,
    Values,
    presenter_of,
    to_json,
)
from crm_kit.store.record import (
    Mergeable,
    OwnedRecord,
    Record,
    Stateful,
)
from crm_kit.work.uow import UnitOfWork

READ_HEADERS = {"cache-control": "private, no-cache", "vary": "Authorization"}
SEEN = 50_000
T = TypeVar("T")


class UncountedPage(BaseModel, Generic[T]):
    """A page of a list that cannot count its matches."""

    model_config = ConfigDict(defer_build=True)

    items: list[T] = Field(description="The items of this page, in the order of the list.")
    next: str | None = Field(description="Value for `after` of the next page; null at the end.")

    @classmethod
    def __class_getitem__(cls, item: Any) -> Any:
        """Return the model of a page of these items. It has a name of its own in OpenAPI, and not `Page_LeadRead_`."""
        made = super().__class_getitem__(item)
        return made if isinstance(item, TypeVar) else _named(made, item)


class Page(UncountedPage[T], Generic[T]):
    """A page of a list."""

    count: int | None = Field(None, description="The number of all matches, if `count=exact` was sent.")


@cache
def _named(page: type[BaseModel], item: type[BaseModel]) -> type[BaseModel]:
    name = re.sub("(Read|Record|Item)$", "", item.__name__) + "Page"
    return create_model(name, __base__=page, __doc__=inspect.getdoc(page), __module__=item.__module__)


def has_actions(entity: type[Record]) -> bool:
    """Whether records of the entity have actions besides edits. Reference data has none, because it has no lifecycle or owner."""
    return issubclass(entity, Stateful | OwnedRecord)


class Allowed:
    """The actions that the caller may perform on records of one entity, besides edits of fields."""

    def __init__(self, uow: UnitOfWork, entity: type[Record]) -> None:
        self._entity, self._depth = entity, uow.principal.depth
        self._writes, self._assigns, self._deletes = (
            uow.reach(entity, privilege) for privilege in (Privilege.WRITE, Privilege.ASSIGN, Privilege.DELETE)
        )

    def actions(self, values: Mapping[str, Any]) -> list[str]:
        """Return the actions that are possible in the record's state and for which the caller has the privileges."""
        entity, owner, unit = self._entity, values.get("owner_id"), values.get("business_unit_id")
        writes = self._writes.covers(owner, unit)
        actions: list[str] = []
        if issubclass(entity, Stateful) and entity.may_be_moved(self._depth, values, writes=writes):
            actions = entity.moves_from(values)
        if owner is not None and self._assigns.covers(owner, unit):
            actions = [*actions, "assign"]
        if (
            writes
            and issubclass(entity, Mergeable)
            and values["status"] in entity.merges_from
            and self._deletes.covers(owner, unit)
        ):
            actions = [*actions, "merge"]
        return actions


async def rendered(uow: UnitOfWork, record: Record) -> bytes:
    """Return the record's JSON as this caller may see it.

    It is the JSON of the event, without the names of records that the caller may not read, and with the caller's actions.
    """
    entity, values = type(record), record.__dict__
    presenter = presenter_of(entity)
    if presenter.parts:
        await uow.names.learn(entity, [values], parts=True)
    _, as_json = await uow.render(record)
    if hidden := _hidden(uow, presenter, values):
        as_json = to_json(presenter.record(values, uow.names, hidden))
    if not has_actions(entity):
        return as_json
    actions = Allowed(uow, entity).actions(values)
    return as_json[:-1] + b',"allowed_actions":' + to_json(actions) + b"}"


def _hidden(uow: UnitOfWork, presenter: Presenter, values: Values) -> Set[str]:
    """Return the ids of records to which the record refers and that the caller may not read."""
    if not (presenter.references or presenter.parts):
        return NOTHING
    return uow.names.hidden((*presenter.points_at(values), *presenter.parts_point_at(values)))


async def one(uow: UnitOfWork, record: Record) -> Response:
    """Return 200 with the record and its ETag, the response of every command and patch."""
    headers = {"etag": f'"{record.version}"', **READ_HEADERS}
    return Response(await rendered(uow, record), 200, headers, "application/json")


async def created(uow: UnitOfWork, record: Record) -> Response:
    """Return 201 with the record, its ETag and its Location."""
    headers = {
        "etag": f'"{record.version}"',
        "location": entity_named(record.entity()).path_of(record.id),
        **READ_HEADERS,
    }
    return Response(await rendered(uow, record), 201, headers, "application/json")


def gone() -> Response:
    """Return 204, the response after a record was deleted."""
    return Response(status_code=204)


async def read(uow: UnitOfWork, entity: type[Record], record_id: UUID, request: Request) -> Response:
    """Return the response to GET of one record: 304 if this caller got the same content last. Raises as ``uow.read`` does."""
    record = await uow.read(entity, record_id)
    body = await rendered(uow, record)
    etag = f'"{record.version}"'
    headers = {"etag": etag, **READ_HEADERS}
    seen: OrderedDict[tuple[UUID, float, UUID], int] = uow.runtime.extras.setdefault("seen", OrderedDict())
    reader = (uow.principal.id, uow.principal.issued_at, record_id)
    before, now = seen.get(reader), hash(body)
    seen[reader] = now
    seen.move_to_end(reader)
    if len(seen) > SEEN:
        seen.popitem(last=False)
    # The ETag is only the version, so names and allowed_actions of the last answer are remembered here as a hash.
    # A replica that does not remember them answers 200, which is always correct.
    if before == now and matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, 200, headers, "application/json")


def matches(header: str | None, etag: str) -> bool:
    """Whether ``If-None-Match`` matches this ETag by weak comparison (RFC 9110 §13.1.2)."""
    return header is not None and (
        header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(","))
    )


async def items(
    uow: UnitOfWork,
    entity: type[Record],
    rows: Sequence[dict[str, Any]],
    only: frozenset[str] | None,
    kinds: Mapping[str, type[Record]] | None = None,
) -> list[dict[str, Any]]:
    """Return rows as this caller may see them. ``only`` limits the fields. ``kinds`` are the entities of a view, by type."""
    await uow.names.learn(entity, rows, parts=True)
    presenter, names = presenter_of(entity), uow.names
    allowed = {kind: Allowed(uow, kind) for kind in (kinds.values() if kinds else [entity]) if has_actions(kind)}
    found = []
    for row in rows:
        body = presenter.record(row, names, _hidden(uow, presenter, row))
        kind = kinds[row["type"]] if kinds else entity
        if kind in allowed:
            body["allowed_actions"] = allowed[kind].actions(row)
        found.append({field: body[field] for field in body if field in only} if only else body)
    return found


def page(found: list[dict[str, Any]], following: str | None, count: int | None) -> Response:
    """Return the response of a list: a page, ``next`` and, unless it is None, the count."""
    body: dict[str, Any] = {"items": found, "next": following}
    if count is not None:
        body["count"] = count
    return Response(to_json(body), 200, READ_HEADERS, "application/json")
