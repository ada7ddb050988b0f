"""Each kind of breaking change is planted and caught; each additive one passes."""

import copy
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, create_model
from pydantic.config import JsonDict

from crm_contracts.catalogue import Event, all_events
from crm_contracts.compatibility import breaks
from crm_contracts.money import Money
from crm_contracts.sales.lead import LEAD
from crm_contracts.schemas import bundle, bundle_of
from crm_contracts.types import Count, Open, Percent, Personal, Shape, ShortText, UtcDatetime

TYPE = "crm.sales.lead.tested.v1"
# mypy takes a generic alias for a type only, and here it is a value.
OPEN: Any = Open
PERSONAL: Any = Personal
SINCE: JsonDict = {"x-since": "1.1.0"}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class MoreColours(StrEnum):
    RED = "red"
    BLUE = "blue"
    GREEN = "green"


class FewerColours(StrEnum):
    RED = "red"


class Part(Shape):
    note: ShortText


class LongerPart(Shape):
    note: ShortText
    by: ShortText | None = Field(default=None, json_schema_extra=SINCE)


class PartWithNull(Shape):
    note: ShortText | None


class Tree(Shape):
    name: str
    children: list["Tree"]


def released(type_: str = TYPE, **fields: Any) -> Any:
    """The bundle of one event whose data has these fields; a field is its type, or its type and its Field."""
    definitions: dict[str, Any] = {
        name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()
    }
    model = create_model("Tested", __base__=Shape, **definitions)
    model.type = type_  # type: ignore[attr-defined]  # stands in for an event without entering the catalogue
    return bundle_of([model])  # type: ignore[list-item]  # see above


BREAKING: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a field is removed": ({"a": str, "b": str}, {"a": str}, "b: the field was removed"),
    "a field is renamed": ({"name": str}, {"title": str}, "name: the field was removed"),
    "a field of a part is removed": ({"parts": list[LongerPart]}, {"parts": list[Part]}, "parts[].by: the field was"),
    "a new field without default": ({"a": str}, {"a": str, "b": str}, "b: a new field needs a default and x-since"),
    "a new nullable field without default": ({"a": str}, {"a": str, "b": str | None}, "b: a new field needs"),
    "a field becomes nullable": ({"a": ShortText}, {"a": ShortText | None}, "a: the field may now be null"),
    "a field is never null again": ({"a": ShortText | None}, {"a": ShortText}, "a: the field may no longer be null"),
    "a field of a part becomes nullable": ({"parts": list[Part]}, {"parts": list[PartWithNull]}, "parts[].note"),
    "a reference becomes nullable": ({"m": Money}, {"m": Money | None}, "m: the field may now be null"),
    "a field may be missing": (
        {"a": str},
        {"a": (str, Field(default="", json_schema_extra=SINCE))},
        "may now be missing",
    ),
    "text becomes a number": ({"a": str}, {"a": Count}, "a: the type changed from string to integer"),
    "a number becomes a list": ({"a": Count}, {"a": list[Count]}, "a: the type changed from integer to array"),
    "elements change type": ({"a": list[str]}, {"a": list[Count]}, "a[]: the type changed"),
    "values of a map change type": ({"a": dict[str, str]}, {"a": dict[str, Count]}, "a{}: the type changed"),
    "an amount becomes text": ({"a": Money}, {"a": str}, "a: the type changed from object to string"),
    "a text becomes a time": ({"a": str}, {"a": UtcDatetime}, "a: format changed from none to date-time"),
    "a length narrows": (
        {"a": Annotated[str, Field(max_length=200)]},
        {"a": Annotated[str, Field(max_length=100)]},
        "a: maxLength changed from 200 to 100",
    ),
    "a length widens": (
        {"a": Annotated[str, Field(max_length=200)]},
        {"a": Annotated[str, Field(max_length=400)]},
        "a: maxLength changed from 200 to 400",
    ),
    "a range narrows": ({"a": Annotated[int, Field(ge=0)]}, {"a": Annotated[int, Field(ge=1)]}, "a: minimum changed"),
    "a limit appears": ({"a": int}, {"a": Annotated[int, Field(le=9)]}, "a: maximum changed from none to 9"),
    "a nullable field narrows": (
        {"a": Annotated[int, Field(le=9)] | None},
        {"a": Annotated[int, Field(le=5)] | None},
        "a: maximum changed from 9 to 5",
    ),
    "a list gets shorter": (
        {"a": Annotated[list[str], Field(max_length=500)]},
        {"a": Annotated[list[str], Field(max_length=50)]},
        "a: maxItems changed from 500 to 50",
    ),
    "a pattern changes": (
        {"a": Annotated[str, Field(pattern="^[a-z]+$")]},
        {"a": Annotated[str, Field(pattern="^[a-z0-9]+$")]},
        "a: pattern changed",
    ),
    "an extensible enum loses a value": ({"a": OPEN[Colour]}, {"a": OPEN[FewerColours]}, "a: enum values were removed"),
    "a nullable enum loses a value": (
        {"a": OPEN[Colour] | None},
        {"a": OPEN[FewerColours] | None},
        "a: enum values were removed, but older events hold them: blue",
    ),
    "a listed enum loses a value": ({"a": list[OPEN[Colour]]}, {"a": list[OPEN[FewerColours]]}, "a[]: enum values"),
    "a closed enum gets a value": ({"a": Literal["x", "y"]}, {"a": Literal["x", "y", "z"]}, "a: values were added"),
    "an enum closes": ({"a": OPEN[Colour]}, {"a": Colour}, "a: the enum became extensible or stopped being so"),
    "an enum opens": ({"a": Colour}, {"a": OPEN[Colour]}, "a: the enum became extensible or stopped being so"),
    "an enum becomes text": ({"a": OPEN[Colour]}, {"a": str}, "a: the field became or stopped being an enum"),
    "a personal mark goes": ({"a": PERSONAL[str]}, {"a": str}, "a: the field is no longer marked personal"),
    "a personal mark goes from a nullable": (
        {"a": PERSONAL[str | None]},
        {"a": str | None},
        "a: the field is no longer",
    ),
    "another form is allowed": (
        {"a": Part | Count},
        {"a": Part | Count | str},
        "a: the field had 2 forms and now has 3",
    ),
}

ADDITIVE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({"a": str, "p": Percent, "t": Tree}, {"a": str, "p": Percent, "t": Tree}),
    "a new nullable field": ({"a": str}, {"a": str, "b": (str | None, Field(default=None, json_schema_extra=SINCE))}),
    "a new flag": ({"a": str}, {"a": str, "b": (bool, Field(default=False, json_schema_extra=SINCE))}),
    "a new field in a part": ({"parts": list[Part]}, {"parts": list[LongerPart]}),
    "a new part": ({"a": str}, {"a": str, "b": (Part | None, Field(default=None, json_schema_extra=SINCE))}),
    "a value of an extensible enum": ({"a": OPEN[Colour]}, {"a": OPEN[MoreColours]}),
    "a value of a nullable extensible enum": ({"a": OPEN[Colour] | None}, {"a": OPEN[MoreColours] | None}),
    "a value of a listed extensible enum": ({"a": list[OPEN[Colour]]}, {"a": list[OPEN[MoreColours]]}),
    "a description": ({"a": (str, Field(description="Old."))}, {"a": (str, Field(description="New."))}),
    "a description of a nullable part": (
        {"a": (Part | None, Field(description="Old."))},
        {"a": (Part | None, Field(description="New."))},
    ),
    "an example": ({"a": str}, {"a": (str, Field(examples=["x"]))}),
    "a personal mark": ({"a": str}, {"a": PERSONAL[str]}),
    "another order of fields": ({"a": str, "b": str}, {"b": str, "a": str}),
}


@pytest.mark.parametrize("change", BREAKING)
def test_a_breaking_change_is_caught(change: str) -> None:
    before, after, said = BREAKING[change]
    found = [str(broken) for broken in breaks(released(**before), released(**after))]
    assert any(f"{TYPE} {said}" in broken or said in broken for broken in found), found


@pytest.mark.parametrize("change", ADDITIVE)
def test_an_additive_change_passes(change: str) -> None:
    before, after = ADDITIVE[change]
    assert breaks(released(**before), released(**after)) == []


def test_a_removed_event_is_caught() -> None:
    assert "removed" in str(breaks(released(a=str), {"events": {}, "$defs": {}})[0])


def test_a_changed_type_string_is_caught() -> None:
    found = breaks(released(a=str), released("crm.sales.lead.probed.v1", a=str))
    assert [broken.event for broken in found] == [TYPE]


def test_a_second_major_beside_the_first_passes() -> None:
    first, second = released(a=str), released("crm.sales.lead.tested.v2", b=Count)
    both = {"events": first["events"] | second["events"], "$defs": first["$defs"] | second["$defs"]}
    assert breaks(first, both) == []


def _drop(record: str, field: str) -> Callable[[Any], None]:
    def act(document: Any) -> None:
        del document["$defs"][record]["properties"][field]

    return act


def _set(record: str, field: str, key: str, value: Any) -> Callable[[Any], None]:
    def act(document: Any) -> None:
        document["$defs"][record]["properties"][field][key] = value

    return act


def _is_given_away(event: type[Event]) -> bool:
    return "previous_owner" in event.model_fields


@pytest.mark.parametrize(
    ("plant", "path", "holds"),
    [
        (_drop("LeadRecord", "topic"), "record.topic", lambda event: event.entity is LEAD),
        (
            _drop("Money", "currency"),
            "record.budget.currency",
            lambda event: "budget" in event.entity.record.model_fields,
        ),
        (
            _set("Owner", "owner_id", "format", "uri"),
            "previous_owner.owner_id",
            lambda event: "previous_owner" in event.model_fields,
        ),
        (_set("LeadRecord", "topic", "maxLength", 100), "record.topic", lambda event: event.entity is LEAD),
    ],
)
def test_a_change_inside_a_shared_shape_is_caught_in_every_event(
    plant: Callable[[Any], None], path: str, holds: Callable[[type[Event]], bool]
) -> None:
    changed = copy.deepcopy(bundle())
    plant(changed)
    found = breaks(bundle(), changed)
    expected = {event.type for event in all_events() if holds(event)}
    assert expected
    assert {broken.event for broken in found if broken.path == path} == expected


def test_the_catalogue_is_compatible_with_itself() -> None:
    assert breaks(bundle(), copy.deepcopy(bundle())) == []
