"""A patch knows what was sent, whether null is allowed, and what a nested object keeps (RFC 7396)."""

from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from crm_contracts.types import Address, Date, Maybe, Percent, Personal, RefInput, Shape, ShortText
from crm_kit.errors import InvalidValue
from crm_kit.records.patch import Patch, optional
from crm_kit.store.columns import TYPE_MAP
from crm_kit.store.record import Record

ADA, BABBAGE = (UUID(f"019aa2f0-0000-7000-8000-00000000000{n}") for n in (1, 2))


class Base(DeclarativeBase):
    type_annotation_map = TYPE_MAP


class Parcel(Record, Base):
    __tablename__ = "parcel"

    label: Mapped[str]
    weight: Mapped[int]
    destination: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    seal: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    sender_type: Mapped[str | None]
    sender_id: Mapped[UUID | None]


class Seal(Shape):
    color: Literal["red", "blue"] = Field(description="Its colour.")
    share: Percent = Field(Decimal(50), description="How much of the lid it covers, in percent.")
    broken_on: Date | None = Field(None, description="When it was found broken.")
    place: Address | None = Field(None, description="Where it was put on.")


class Sender(RefInput):
    type: Literal["contact", "account"] = Field(description="`contact` or `account`.")


class ParcelFields(BaseModel):
    model_config = ConfigDict(extra="forbid")

    weight: int = Field(1, description="In kilograms.")
    note: Maybe[ShortText] = Field(None, description="What to know.")
    destination: Personal[Address | None] = Field(None, description="Where it goes.")
    seal: Seal | None = Field(None, description="What it is closed with.")
    sender: Sender | None = Field(None, description="Who sends it.")


class ParcelUpdate(Patch, ParcelFields):
    label: ShortText = optional("What is written on it.")


def parcel(**values: Any) -> Parcel:
    stored = {"label": "Books", "weight": 3, "destination": None, "seal": None, "sender_type": None, "sender_id": None}
    return Parcel(**{**stored, **values})


def test_a_member_that_was_not_sent_has_no_value() -> None:
    patch = ParcelUpdate.model_validate({"note": None})
    assert dict(patch) == {"note": None}
    assert patch.onto(parcel()) == {"note": None}
    assert patch.get("weight") is None
    with pytest.raises(AttributeError):
        _ = patch.weight
    with pytest.raises(AttributeError):
        _ = patch.label


@pytest.mark.parametrize("sent", [{"label": None}, {"weight": None}, {"label": " "}, {"color": "red"}])
def test_null_and_strange_members_are_refused_where_the_type_refuses_them(sent: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ParcelUpdate.model_validate(sent)


def test_a_nested_object_keeps_the_members_that_were_not_sent() -> None:
    stored = Address(line1="1 Dorset Street", city="London", country="GB").model_dump(mode="json")
    patch = ParcelUpdate.model_validate({"destination": {"city": "Bath", "line1": None}})
    merged = patch.onto(parcel(destination=stored))["destination"]
    assert merged == {**stored, "city": "Bath", "line1": None}


def test_a_nested_object_is_whole_where_nothing_is_stored() -> None:
    patch = ParcelUpdate.model_validate({"destination": {"city": "Bath"}})
    assert patch.onto(parcel())["destination"] == Address(city="Bath").model_dump(mode="json")
    assert ParcelUpdate.model_validate({"destination": None}).onto(parcel()) == {"destination": None}


def test_what_a_newer_release_stored_refuses_nothing_and_is_kept() -> None:
    """After a roll-back: members that this release does not know, and a value that it would not take."""
    stored = {
        "color": "ultraviolet",
        "share": 50,
        "broken_on": None,
        "wax": {"from": "bees"},
        "place": {"line1": "1 Dorset Street", "country": "XX", "planet": "Earth"},
    }
    patch = ParcelUpdate.model_validate({"seal": {"share": 12.5, "place": {"city": "Bath"}}})
    merged = patch.onto(parcel(seal=stored))["seal"]
    assert merged == {
        **stored,
        "share": 12.5,
        "place": {**Address().model_dump(mode="json"), **stored["place"], "city": "Bath"},  # type: ignore[dict-item]
    }
    with pytest.raises(ValidationError):
        ParcelUpdate.model_validate({"seal": {"color": "ultraviolet"}})


def test_a_nested_object_is_written_as_a_create_writes_it() -> None:
    sent = {"color": "red", "share": 30.0, "broken_on": "2026-05-04", "place": {"country": "gb"}}
    patched = ParcelUpdate.model_validate({"seal": sent}).onto(parcel())["seal"]
    assert patched == Seal.model_validate(sent).model_dump(mode="json")
    assert ParcelUpdate.model_validate({"seal": {"color": "red"}}).onto(parcel())["seal"] == Seal(
        color="red"
    ).model_dump(mode="json")


def test_a_nested_object_that_lacks_what_only_the_record_could_say_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidValue) as refused:
        ParcelUpdate.model_validate({"seal": {"share": 3}}).onto(parcel())
    assert [(error.pointer, error.code) for error in refused.value.errors] == [("/seal/color", "missing")]


def test_a_reference_keeps_the_member_that_was_not_sent() -> None:
    patch = ParcelUpdate.model_validate({"sender": {"id": str(BABBAGE)}})
    merged = patch.onto(parcel(sender_type="contact", sender_id=ADA))["sender"]
    assert (merged.type, merged.id) == ("contact", BABBAGE)


def test_a_nested_object_that_lacks_a_required_member_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidValue) as refused:
        ParcelUpdate.model_validate({"sender": {"id": str(ADA)}}).onto(parcel())
    assert [(error.pointer, error.code) for error in refused.value.errors] == [("/sender/type", "missing")]


def test_a_shape_in_hand_can_be_part_of_a_patch() -> None:
    patch = ParcelUpdate(sender=Sender(type="contact", id=ADA))
    merged = patch.onto(parcel())["sender"]
    assert (merged.type, merged.id) == ("contact", ADA)


def test_the_schema_shows_optional_members_without_defaults() -> None:
    schema = ParcelUpdate.model_json_schema()
    shapes = [schema, *schema["$defs"].values()]
    assert [shape.get("required") for shape in shapes] == [None] * 4
    assert not any("default" in member for shape in shapes for member in shape["properties"].values())
    assert schema["properties"]["label"]["type"] == "string"
