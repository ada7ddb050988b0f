"""The generated documents say what is sent, and their references lead somewhere."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import (  # type: ignore[import-untyped]  # it ships no types
    Draft202012Validator,
    FormatChecker,
    ValidationError,
)

from crm_contracts import asyncapi
from crm_contracts.catalogue import Event, all_entities, all_events
from crm_contracts.envelope import OPTIONAL, REQUIRED, Envelope
from crm_contracts.events_page import events_page
from crm_contracts.examples import example
from crm_contracts.sales.lead import LeadQualified
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.samples import sample
from crm_contracts.schemas import DIALECT, event_schema, opened


def validate(event: type[Event], data: Any) -> None:
    Draft202012Validator(event_schema(event), format_checker=FormatChecker()).validate(data)


@pytest.mark.parametrize("event", all_events(), ids=lambda event: event.type)
def test_a_schema_describes_what_is_sent(event: type[Event]) -> None:
    schema = event_schema(event)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    validate(event, sample(event)["data"])
    validate(event, event.model_validate(sample(event)["data"]).model_dump(mode="json"))


def test_a_published_schema_stays_valid_for_additive_changes() -> None:
    data = sample(LeadQualified)["data"]
    data["score"] = 1
    data["record"]["shoe_size"] = 43
    data["record"]["source"] = "carrier_pigeon"
    validate(LeadQualified, data)


@pytest.mark.parametrize(
    ("field", "value"), [("topic", 5), ("budget", "1200.00"), ("version", 0), ("source", 7), ("email", 1), ("id", None)]
)
def test_a_published_schema_refuses_what_is_never_sent(field: str, value: Any) -> None:
    data = copy.deepcopy(sample(LeadQualified)["data"])
    data["record"][field] = value
    with pytest.raises(ValidationError):
        validate(LeadQualified, data)


def test_a_later_field_may_be_missing_from_an_older_event() -> None:
    schema = {"properties": {"a": {}, "b": {"x-since": "1.1.0"}}, "required": ["a", "b"], "additionalProperties": False}
    assert opened(schema) == {"properties": {"a": {}, "b": {"x-since": "1.1.0"}}, "required": ["a"]}


@pytest.mark.parametrize("event", all_events(), ids=lambda event: event.type)
def test_the_example_of_an_event_is_one_and_says_nothing_that_was_made_up_from_names(event: type[Event]) -> None:
    found = example(event)
    envelope = Envelope.of(found)
    validate(event, envelope.data)
    assert event.model_validate(envelope.data).record.version == envelope.entityversion
    assert [name for name, value in _texts(envelope.data) if value == name.replace("_", " ").capitalize()] == []


def _texts(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _texts(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value, name)
    elif isinstance(node, str):
        yield name, node


def test_an_example_is_in_the_state_that_its_event_left_it_in() -> None:
    won = example(OpportunityWon)["data"]
    assert (won["record"]["status"], won["record"]["status_reason"], won["record"]["closed_at"]) == (
        *("won", "won"),
        "2026-05-04T09:30:00Z",
    )
    assert won["changed"] == {"status": {"old": "open", "new": "won"}}


def test_a_sample_is_the_same_every_time() -> None:
    assert sample(LeadQualified) == sample(LeadQualified)


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [ref for part in node for ref in _references(part)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [ref for part in node.values() for ref in _references(part)]


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi.document()
    for ref in _references(document):
        at: Any = document
        for step in ref.removeprefix("#/").split("/"):
            at = at[step]
        assert isinstance(at, dict)


def test_the_asyncapi_document_holds_every_event_and_attribute() -> None:
    document = asyncapi.document()
    assert document["info"]["version"] == asyncapi.VERSION
    assert {message["name"] for message in document["components"]["messages"].values()} == {
        event.type for event in all_events()
    }
    assert len(document["channels"]) == len(document["operations"]) == len(all_entities())
    envelope = document["components"]["schemas"]["Envelope"]["properties"]
    assert set(envelope) == {*REQUIRED, *OPTIONAL} - {"data"}
    for channel in document["channels"].values():
        prefix = channel["address"].removesuffix("{fact}")
        types = {document["components"]["messages"][name]["name"] for name in channel["messages"]}
        assert types == {prefix + fact for fact in channel["parameters"]["fact"]["enum"]}


def test_the_page_lists_every_event_with_its_facts() -> None:
    page = events_page()
    for event in all_events():
        assert f"| `{event.type}` | {event.summary()} |" in page
    assert "`account_id`, `contact_id`, `opportunity_id`, `created`" in page
