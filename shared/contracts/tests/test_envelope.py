"""The envelope reads what was sent, ignores what it does not know, and says what is wrong without repeating values."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_contracts.envelope import (
    OPTIONAL,
    REQUIRED,
    Envelope,
    EnvelopeError,
    dataschema_of,
    parse_type,
    source_of,
    with_absolute_schema,
)
from crm_contracts.sales.lead import LeadQualified
from crm_contracts.sales.reference import SalesStageCreated
from crm_contracts.samples import sample

WIRE = sample(LeadQualified)


def test_an_event_reads_back_as_it_was_sent() -> None:
    envelope = Envelope.from_json(json.dumps(WIRE).encode())
    assert envelope.as_json() == WIRE
    assert list(envelope.as_json()) == [key for key in (*REQUIRED[:-1], *OPTIONAL, "data") if key in WIRE]
    assert envelope.time == datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def test_attributes_without_a_value_are_left_out() -> None:
    wire = sample(SalesStageCreated)
    envelope = Envelope.of(wire)
    assert envelope.ownerid is None
    assert "ownerid" not in envelope.as_json()


def test_the_epoch_is_a_number_and_said_only_where_there_was_a_restore() -> None:
    assert Envelope.of(WIRE).epoch == 0
    restored = Envelope.of(WIRE | {"epoch": 217_000_000})
    assert restored.as_json() == WIRE | {"epoch": 217_000_000}
    for value in ("1", -1, True, False, 1.5):
        with pytest.raises(EnvelopeError, match="epoch is not valid"):
            Envelope.of(WIRE | {"epoch": value})


def test_unknown_attributes_are_ignored() -> None:
    assert Envelope.of(WIRE | {"sequence": 7}) == Envelope.of(WIRE)


@pytest.mark.parametrize("attribute", [key for key in REQUIRED if key != "datacontenttype"])
def test_a_missing_attribute_is_named(attribute: str) -> None:
    with pytest.raises(EnvelopeError, match=attribute):
        Envelope.of({key: value for key, value in WIRE.items() if key != attribute})


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("specversion", "0.3"),
        ("id", "secret-value"),
        ("subject", 5),
        ("time", "2026-05-04T09:30:00"),
        ("time", 0),
        ("entityversion", 0),
        ("entityversion", "1"),
        ("entityversion", True),
        ("type", ""),
        ("data", []),
        ("ownerid", "secret-value"),
        ("causationid", 5),
    ],
)
def test_a_wrong_attribute_is_named_and_not_repeated(attribute: str, value: Any) -> None:
    with pytest.raises(EnvelopeError, match=attribute) as error:
        Envelope.of(WIRE | {attribute: value})
    assert "secret-value" not in str(error.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe"])
def test_a_body_that_is_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError):
        Envelope.from_json(body)


def test_a_type_has_four_parts() -> None:
    assert parse_type("crm.sales.lead.qualified.v1") == ("sales", "lead", "qualified", 1)
    assert parse_type("crm.service.knowledge_article.published.v12").major == 12
    assert source_of("sales") == "/crm/sales"


def test_a_dataschema_is_an_absolute_uri() -> None:
    type_ = "crm.sales.lead.qualified.v1"
    assert dataschema_of(type_) == "urn:liaison:schema:crm.sales.lead.qualified.v1"
    assert dataschema_of(type_, "https://crm.example.com/schemas/") == f"https://crm.example.com/schemas/{type_}.json"


def test_an_event_of_an_earlier_release_gets_an_absolute_dataschema_and_is_else_the_same() -> None:
    now = json.dumps(WIRE, separators=(",", ":")).encode()
    url = "https://crm.example.com/schemas/"
    earlier = now.replace(
        b"urn:liaison:schema:crm.sales.lead.qualified.v1", b"/schemas/crm.sales.lead.qualified.v1.json"
    )
    assert earlier != now
    assert with_absolute_schema(earlier) == now
    assert Envelope.from_json(with_absolute_schema(earlier, url)).dataschema == dataschema_of(LeadQualified.type, url)
    assert with_absolute_schema(now, url) == now
    assert Envelope.from_json(earlier).dataschema == "/schemas/crm.sales.lead.qualified.v1.json"


@pytest.mark.parametrize(
    "type_",
    ["", "crm.sales.lead.qualified", "crm.sales.lead.qualified.v0", "crm.Sales.lead.won.v1", "a.crm.sales.lead.won.v1"],
)
def test_another_text_is_no_type(type_: str) -> None:
    with pytest.raises(EnvelopeError):
        parse_type(type_)
