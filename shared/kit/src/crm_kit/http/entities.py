"""What a service tells about its records for forms and lists: ``GET /meta/entities``.

Everything follows from what is declared anyway: the models of bodies and answers, the routes, the list, the lifecycle and the
references. The labels come from the catalogues of ``crm_language``.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from crm_contracts.access import Privilege
from crm_contracts.catalogue import Entity, entity_for
from crm_contracts.filter_values import LIST_OPS
from crm_contracts.filters import OPS, FieldType, FilterField
from crm_contracts.rights import RIGHTS
from crm_kit.http.described import Described, fields_of
from crm_kit.http.meta import Move
from crm_kit.http.requests import Route
from crm_kit.lifecycle import Lifecycle
from crm_kit.process.runtime import Service
from crm_kit.store.listed import list_of
from crm_kit.store.presenter import to_json
from crm_kit.store.record import Mergeable, OwnedRecord, Record, Stateful
from crm_kit.store.references import references_of
from crm_language.labels import Labels
from crm_language.languages import LANGUAGE

CONCERNS = {"vary": "Accept-Language, Authorization", "cache-control": "private, no-cache"}


class Option(BaseModel):
    """A value that a field may have."""

    value: str = Field(description="The value in requests and answers.", examples=["word_of_mouth"])
    label: str = Field(description="Its name for people.", examples=["Word of mouth"])


class EntityField(BaseModel):
    """A field of a record, of a part of it, or of the body of a command."""

    name: str = Field(description="Name in requests, answers and filters.", examples=["estimated_value"])
    label: str = Field(description="Name for people.", examples=["Estimated value"])
    type: str = Field(
        description="`text`, `multiline`, `email`, `phone`, `url`, `country`, `currency`, `integer`, `number`, `decimal`,"
        " `percent`, `money`, `boolean`, `date`, `datetime`, `option`, `reference`, `id` or `object`.",
        examples=["money"],
    )
    many: bool = Field(description="Whether it is a list of such values.")
    required: bool = Field(description="Whether a create, or the command, must send it.")
    nullable: bool = Field(description="Whether it may be null.")
    on_create: bool = Field(description="Whether a create may send it.")
    on_update: bool = Field(description="Whether a PATCH may send it; with neither it is read-only.")
    personal: bool = Field(description="Whether it is personal data.")
    reference: list[str] = Field(
        description="The entities of which it names a record (`x-reference` in OpenAPI); `*` is any entity. Empty for others.",
        examples=[["account", "contact"]],
    )
    options: list[Option] | None = Field(description="The values of an `option`, in their order; null for others.")
    max_length: int | None = Field(description="The most characters of a text; null if it has no such limit.")
    minimum: float | None = Field(description="The least value; null without one.")
    maximum: float | None = Field(description="The greatest value; null without one.")
    operators: list[str] = Field(
        description="The operators with which lists filter by it; empty if they do not.", examples=[["eq", "in"]]
    )
    sortable: bool = Field(description="Whether lists sort by it.")
    fields: list["EntityField"] = Field(description="The members of an `object` or of `money`; empty for others.")


class EntityFilter(BaseModel):
    """A filter of a list that is no field of its records."""

    name: str = Field(description="Name in queries.", examples=["age"])
    label: str = Field(description="Name for people.", examples=["Age"])
    type: str = Field(description="Type of its values, as of fields.", examples=["integer"])
    operators: list[str] = Field(description="Its operators.", examples=[["between", "gte"]])


class EntityCommand(BaseModel):
    """A command on a record: `POST` to its path."""

    name: str = Field(description="Name, as in `allowed_actions`.", examples=["qualify"])
    label: str = Field(description="Name for people, as on a button.", examples=["Qualify"])
    path: str = Field(description="Path with the id in braces.", examples=["/api/v1/leads/{lead_id}/qualify"])
    privilege: str | None = Field(description="The privilege on the record that it needs.", examples=["write"])
    destructive: bool = Field(
        description="Whether the record is at its end afterwards, and no command leads back: ask before you send it."
    )
    body: list[EntityField] | None = Field(description="The fields of its body; null if it takes none.")
    body_required: bool = Field(description="Whether it needs a body.")


class StateLabel(Option):
    """A status, or a status reason."""


class EntityStates(BaseModel):
    """The state machine, as at `/meta/state-machines`, with labels. A state is `status/status_reason`."""

    initial: str = Field(description="Where a new record starts.", examples=["open/new"])
    states: list[str] = Field(description="Every state there is.")
    statuses: list[StateLabel] = Field(description="Every status with its label.")
    reasons: list[StateLabel] = Field(description="Every status reason with its label.")
    moves: dict[str, Move] = Field(description="By command.")
    by_time: dict[str, Move] = Field(description="Moves that happen when a moment has passed.")
    by_others: dict[str, Move] = Field(description="Moves that a command on another record makes.")


class RightLabel(BaseModel):
    """A right that roles grant beside the privileges."""

    name: str = Field(description="Name in roles.", examples=["credit_override"])
    label: str = Field(description="What it allows, for people.", examples=["Exceed credit"])


class EntityDescription(BaseModel):
    """What forms and lists need to know about the records of a kind."""

    entity: str = Field(description="Singular name, as in events, references and privileges.", examples=["lead"])
    service: str = Field(description="The service that owns its records.", examples=["sales"])
    label: str = Field(description="Name of one record's kind for people.", examples=["Lead"])
    label_plural: str = Field(description="Name of many for people.", examples=["Leads"])
    path: str = Field(description="The list, or the record itself if there is one only.", examples=["/api/v1/leads"])
    single: bool = Field(description="Whether there is one record of the kind only, such as settings.")
    privileges: list[str] = Field(description="The privileges that roles grant on it.", examples=[["create", "read"]])
    rights: list[RightLabel] = Field(
        description="The rights about its records that roles grant beside the privileges, each under its own name as `write`."
    )
    owned: bool = Field(description="Whether its records have an owner.")
    creatable: bool = Field(description="Whether a POST to `path` makes one.")
    editable: bool = Field(description="Whether a PATCH changes one.")
    deletable: bool = Field(description="Whether a DELETE deletes one, for good.")
    importable: bool = Field(description="Whether files can be imported (`…/import`).")
    mergeable: bool = Field(description="Whether one can be merged into another.")
    finds_duplicates: bool = Field(description="Whether likely duplicates are told (`…/duplicates`).")
    has_history: bool = Field(description="Whether its changes can be read (`…/{id}/history`).")
    searchable: bool = Field(description="Whether lists take `q`.")
    sortable: list[str] = Field(description="What lists sort by; `-` in front reverses.", examples=[["created_at"]])
    default_sort: str | None = Field(description="The order of lists; null for a single record.")
    fields: list[EntityField] = Field(description="Its fields, those that are read first.")
    filters: list[EntityFilter] = Field(description="What lists filter by besides fields.")
    commands: list[EntityCommand] = Field(description="Its commands.")
    states: EntityStates | None = Field(description="Its state machine; null without a status.")


class Entities(BaseModel):
    """The entities of a service."""

    items: list[EntityDescription] = Field(description="By name.")


def entities_router(service: Service, routers: Sequence[APIRouter], prefix: str) -> APIRouter:
    """``GET /meta/entities`` of one service; the gateway merges them all."""
    router = APIRouter(prefix="/meta", tags=["meta"], route_class=Route)

    @cache
    def told(language: str) -> bytes:
        labels = Labels(language)
        return to_json({"items": [one.told(labels) for one in kinds_of(service, routers, prefix)]})

    @router.get("/entities", response_model=Entities, operation_id="list_entities")
    async def list_entities() -> Response:
        """Every kind of record of this service, with its fields, filters, commands and states, and their names in the
        language of `Accept-Language` (en, ja, zh-Hans, zh-Hant)."""
        language = LANGUAGE.get()
        # Schemas of twenty entities take a second to make, once.
        body = await asyncio.to_thread(told, language)
        return Response(body, 200, {**CONCERNS, "content-language": language}, "application/json")

    return router


def kinds_of(service: Service, routers: Sequence[APIRouter], prefix: str) -> list["Kind"]:
    """Return the kinds of record of a service that its routes show, by name."""
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]
    found = [
        Kind(service, record, declared, routes, prefix)
        for record in service.entities
        if (declared := entity_for(record.entity())) is not None and not declared.announcement
    ]
    return sorted((one for one in found if one.shown), key=lambda one: one.declared.name)


class Kind:
    """A kind of record, as its declarations describe it."""

    def __init__(
        self, service: Service, record: type[Record], declared: Entity, routes: Sequence[Route], prefix: str
    ) -> None:
        self._service, self._record, self.declared, self._prefix = service, record, declared, prefix
        base = f"/{declared.collection}"
        self._routes = {
            (method, _shape(route.path_format).removeprefix(base)): route
            for route in routes
            if declared.name in route.entities and _is_below(route.path_format, base)
            for method in route.methods or ()
        }
        self.shown = bool(self._routes)
        self._single = ("GET", "/{}") not in self._routes
        self._to = {found.field: found.to for found in references_of(record).values()}
        self._to |= {column: found.to for column, found in references_of(record).items()}
        self._list = list_of(record)

    def told(self, labels: Labels) -> dict[str, Any]:
        """Return the description with labels in a language."""
        name, record, declared = self.declared.name, self._record, self.declared
        filters = dict(self._list.filters()) if self._list is not None else {}
        fields = [self._field(labels, one, filters, "") for one in self._fields()]
        place = "" if self._single else "/{}"
        return {
            "entity": name,
            "service": self._service.name,
            "label": labels.entity(name),
            "label_plural": labels.entities(name),
            "path": declared.path,
            "single": self._single,
            "privileges": [one for one in Privilege if one is not Privilege.ASSIGN or declared.owned],
            "rights": [
                {"name": right.name, "label": labels.right(right.name)} for right in RIGHTS if right.over == name
            ],
            "owned": issubclass(record, OwnedRecord),
            "creatable": ("POST", "") in self._routes,
            "editable": ("PATCH", place) in self._routes,
            "deletable": ("DELETE", place) in self._routes,
            "importable": ("POST", "/import") in self._routes,
            "mergeable": ("POST", "/{}/merge") in self._routes,
            "finds_duplicates": ("POST", "/duplicates") in self._routes,
            "has_history": ("GET", f"{place}/history") in self._routes,
            "searchable": self._list is not None and self._list.search is not None,
            "sortable": list(self._list.sorts) if self._list is not None else [],
            "default_sort": self._list.default_sort if self._list is not None else None,
            "fields": fields,
            "filters": [
                {"name": one, "label": labels.field(name, one), "type": _type_of(kind), "operators": _operators(kind)}
                for one, kind in filters.items()
                if one not in {field for told in fields for field in _names(told, "")}
            ],
            "commands": list(self._commands(labels)),
            "states": self._states(labels, record.lifecycle) if issubclass(record, Stateful) else None,
        }

    def _fields(self) -> list[Described]:
        """The fields of the answer and of the bodies. A body says more about a field than the answer does."""
        place = "" if self._single else "/{}"
        shown = self._model_fields(getattr(self._routes.get(("GET", place)), "response_model", None), sent=False)
        created = self._model_fields(_body_of(self._routes.get(("POST", ""))), sent=True)
        patched = self._model_fields(_body_of(self._routes.get(("PATCH", place))), sent=True)
        merged: dict[str, Described] = {}
        for name in dict.fromkeys((*shown, *created, *patched)):
            if name == "allowed_actions":
                continue
            best = created.get(name) or patched.get(name) or shown[name]
            best.nullable = any(one[name].nullable for one in (shown, created, patched) if name in one)
            best.personal = any(one[name].personal for one in (shown, created, patched) if name in one)
            best.required = name in created and created[name].required
            if name in shown and not best.to:
                best.to = shown[name].to
            merged[name] = best
        self._sent = (frozenset(created), frozenset(patched))
        return list(merged.values())

    def _model_fields(self, model: Any, *, sent: bool) -> dict[str, Described]:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return {}
        found = fields_of(model, sent=sent, about=self.declared.name, to=self._to)
        return {one.name: one for one in found}

    def _field(
        self, labels: Labels, one: Described, filters: Mapping[str, FilterField], above: str, command: str = ""
    ) -> dict[str, Any]:
        entity, path = self.declared.name, f"{above}{one.name}"
        created, patched = self._sent if not command else (frozenset((path,)), frozenset())
        top = path.partition(".")[0]
        known = filters.get(path)
        kind = one.type
        if known is not None and known.type is FieldType.DECIMAL and kind in ("text", "number"):
            kind = "decimal"
        options = self._options(labels, one, known)
        return {
            "name": one.name,
            "label": labels.field(entity, one.name),
            "type": kind if options is None else "option",
            "many": one.many,
            "required": one.required,
            "nullable": one.nullable,
            "on_create": top in created,
            "on_update": top in patched,
            "personal": one.personal,
            "reference": list(one.to),
            "options": options,
            "max_length": one.max_length,
            "minimum": one.minimum,
            "maximum": one.maximum,
            "operators": _operators(known) if known is not None else _operators(filters.get(f"{path}.id")),
            "sortable": self._list is not None and not command and path in self._list.sorts,
            "fields": [self._field(labels, inner, filters, f"{path}.", command) for inner in one.fields],
        }

    def _options(self, labels: Labels, one: Described, known: FilterField | None) -> list[dict[str, str]] | None:
        values = one.options or (known.values if known is not None else None)
        if values is None:
            return None
        entity = self.declared.name
        return [{"value": value, "label": labels.option(entity, one.name, value)} for value in values]

    def _commands(self, labels: Labels) -> Iterator[dict[str, Any]]:
        for (method, shape), route in self._routes.items():
            before, _, verb = shape.rpartition("/")
            if (
                method != "POST"
                or before != ("" if self._single else "/{}")
                or verb in ("", "import", "query", "duplicates")
            ):
                continue
            name, model = verb.replace("-", "_"), _body_of(route)
            body = None
            if isinstance(model, type) and issubclass(model, BaseModel):
                body = [
                    self._field(labels, one, {}, "", name)
                    for one in fields_of(model, sent=True, about=self.declared.name, to=self._to)
                ]
            yield {
                "name": name,
                "label": labels.command(self.declared.name, name),
                "path": f"{self._prefix}{route.path_format}",
                "privilege": route.needs,
                "destructive": self._is_the_end(name),
                "body": body,
                "body_required": body is not None and _requires_body(route),
            }

    def _is_the_end(self, command: str) -> bool:
        if command == "merge":
            return issubclass(self._record, Mergeable)
        if not issubclass(self._record, Stateful) or command not in self._record.lifecycle.moves:
            return False
        lifecycle = self._record.lifecycle
        targets = lifecycle.describe()["moves"][command]["to"]
        return not any(lifecycle.actions(state) for state in targets)

    def _states(self, labels: Labels, lifecycle: Lifecycle) -> dict[str, Any]:
        name = self.declared.name
        return {
            **lifecycle.describe(),
            "statuses": [{"value": one, "label": labels.option(name, "status", one)} for one in lifecycle.statuses],
            "reasons": [
                {"value": one, "label": labels.option(name, "status_reason", one)} for one in lifecycle.status_reasons
            ],
        }


def _is_below(path: str, base: str) -> bool:
    return path == base or path.startswith(f"{base}/")


def _shape(path: str) -> str:
    """The path without the names of its parameters."""
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def _body_of(route: APIRoute | None) -> Any:
    """The model of a route's body; also of one that may be left out."""
    if route is None or route.body_field is None or not route.dependant.body_params:
        return None
    annotation = route.dependant.body_params[0].field_info.annotation
    return next((one for one in getattr(annotation, "__args__", ()) if isinstance(one, type)), annotation)


def _requires_body(route: APIRoute) -> bool:
    return bool(route.dependant.body_params[0].field_info.is_required())


def _names(told: Mapping[str, Any], above: str) -> Iterator[str]:
    """The names by which a filter may mean a field."""
    path = f"{above}{told['name']}"
    yield path
    if told["type"] == "reference":
        yield from (f"{path}.type", f"{path}.id")
    for inner in told["fields"]:
        yield from _names(inner, f"{path}.")


def _operators(known: FilterField | None) -> list[str]:
    if known is None:
        return []
    return [one.value for one in (LIST_OPS if known.many else OPS[known.type])]


def _type_of(known: FilterField) -> str:
    return {FieldType.KEYWORD: "option", FieldType.UUID: "id"}.get(known.type, known.type.value)
