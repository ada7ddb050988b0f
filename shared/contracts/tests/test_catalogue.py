"""The catalogue is complete, greppable, described, and lenient where consumers need it."""

import re
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, ValidationError

from crm_contracts.activities.task import TaskEvent, TaskReminderDue
from crm_contracts.catalogue import (
    PUBLISHERS,
    ContentChange,
    Entity,
    Event,
    ValueChange,
    all_entities,
    all_events,
    entity_for,
    event_for,
    events_about,
    events_of,
)
from crm_contracts.envelope import parse_type
from crm_contracts.identity import AccessChangeCreated
from crm_contracts.records import OwnedRecord
from crm_contracts.sales.choices import LeadSource
from crm_contracts.sales.lead import LEAD, LeadCreated, LeadQualified
from crm_contracts.sales.opportunity import OpportunityWon
from crm_contracts.samples import sample


def test_every_record_is_created_told_of_again_and_assigned_where_it_is_owned() -> None:
    for entity in all_entities():
        facts = {parse_type(event.type).fact for event in events_about(entity)}
        assert {"created", "snapshot"} <= facts, entity.name
        assert ("assigned" in facts) == entity.owned, entity.name
        assert {"activated", "deactivated"} <= facts or not is_switched(entity), entity.name


def is_switched(entity: Entity) -> bool:
    """Whether its records are only switched on and off."""
    status = entity.record.model_fields.get("status")
    return status is not None and "ActiveStatus" in repr(status.annotation)


def test_a_class_is_named_as_its_type_reads() -> None:
    for event in all_events():
        name = parse_type(event.type)
        words = f"{name.entity}_{name.fact}".split("_")
        assert event.__name__ == "".join(word.capitalize() for word in words)
        assert name.major == 1


def test_an_event_is_found_by_type_and_by_service() -> None:
    assert event_for("crm.sales.lead.qualified.v1") is LeadQualified
    assert event_for("crm.sales.lead.qualified.v9") is None
    assert LeadQualified in events_of("sales")
    assert {event for service in PUBLISHERS for event in events_of(service)} == set(all_events())
    assert entity_for("lead") is LEAD
    assert entity_for("unicorn") is None


def test_type_strings_are_written_out() -> None:
    folder = Path(__file__).parents[1] / "src" / "crm_contracts"
    source = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    assert {event.type for event in all_events()} <= set(re.findall(r'"(crm\.[a-z_.]+\.v\d+)"', source))


def test_an_entity_is_owned_when_its_record_is() -> None:
    for entity in all_entities():
        assert entity.owned == issubclass(entity.record, OwnedRecord), entity.name
        for event in events_about(entity):
            assert event.model_fields["record"].annotation is entity.record


def _shapes(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    seen.add(model)
    for field in model.model_fields.values():
        for inner in re.findall(r"crm_contracts\.[\w.]+", repr(field.annotation)):
            module, _, name = inner.rpartition(".")
            found = getattr(__import__(module, fromlist=[name]), name, None)
            if isinstance(found, type) and issubclass(found, BaseModel) and found not in seen:
                _shapes(found, seen)
    return seen


def test_every_field_is_described_and_every_event_says_what_happened() -> None:
    for event in all_events():
        assert event.summary(), event
        for shape in _shapes(event, set()):
            for name, field in shape.model_fields.items():
                assert field.description or name == "record", f"{shape.__name__}.{name}"


def test_a_producer_may_not_add_a_field_and_a_consumer_does_not_mind() -> None:
    data = sample(LeadQualified)["data"]
    data["score"] = 1
    data["record"]["shoe_size"] = 43
    data["record"]["budget"]["rounded"] = True
    data["record"]["address"]["planet"] = "Earth"
    data["changed"]["topic"] = {"old": "a", "new": "b", "by": "x"}
    with pytest.raises(ValidationError) as error:
        LeadQualified.model_validate(data)
    assert {problem["type"] for problem in error.value.errors()} >= {"extra_forbidden"}
    event = LeadQualified.consume(data)
    assert event.record.topic == "Gold card for Ada"
    assert event.changed["topic"] == ValueChange(old="a", new="b")


def test_a_consumer_keeps_an_enum_value_of_a_later_release() -> None:
    data = sample(LeadQualified)["data"]
    data["record"]["source"] = "carrier_pigeon"
    data["record"]["gender"] = "nonbinary"
    data["record"]["status"] = "nurturing"
    data["created"] = ["account", "household"]
    event = LeadQualified.consume(data)
    assert event.record.source == "carrier_pigeon"
    assert event.record.gender == "nonbinary"
    assert event.created == ["account", "household"]
    with pytest.raises(ValidationError):
        LeadQualified.model_validate(data)
    data["record"]["source"] = "web"
    assert LeadQualified.consume(data).record.source is LeadSource.WEB


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("record", "id"), "x"),
        (("record", "version"), 0),
        (("record", "topic"), None),
        (("record", "birth_date"), "tomorrow"),
        (("record", "budget"), {"amount": 1.5, "currency": "EUR"}),
        (("created",), "account"),
        (("changed",), {"topic": 5}),
    ],
)
def test_a_consumer_refuses_what_breaks_the_contract(path: tuple[str, ...], value: Any) -> None:
    data = sample(LeadQualified)["data"]
    at = data
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(ValidationError):
        LeadQualified.consume(data)


def test_a_nullable_field_is_null_and_never_missing() -> None:
    data = sample(LeadCreated)["data"]
    data["record"]["last_name"] = None
    assert LeadCreated.consume(data).model_dump(mode="json")["record"]["last_name"] is None
    del data["record"]["last_name"]
    with pytest.raises(ValidationError, match="last_name"):
        LeadCreated.consume(data)


def test_what_a_producer_builds_a_consumer_reads() -> None:
    for event in all_events():
        built = event.model_validate(sample(event)["data"])
        wire = built.model_dump(mode="json")
        assert event.consume(wire) == built
        assert event.model_validate_json(built.model_dump_json()) == built


def test_a_long_text_says_only_that_it_changed() -> None:
    data = sample(OpportunityWon)["data"]
    data["changed"] = {"description": {"changed": True}, "probability": {"old": 60, "new": None}}
    event = OpportunityWon.consume(data)
    assert event.changed == {
        "description": ContentChange(changed=True),
        "probability": ValueChange(old=60, new=None),
    }
    assert event.model_dump(mode="json")["changed"] == data["changed"]


def test_an_access_change_names_at_most_500_principals() -> None:
    data = sample(AccessChangeCreated)["data"]
    data["record"]["principals"] *= 500
    assert len(AccessChangeCreated.consume(data).record.principals) == 500
    data["record"]["principals"].append(data["record"]["principals"][0])
    with pytest.raises(ValidationError):
        AccessChangeCreated.consume(data)


def test_a_type_is_declared_once_and_by_its_own_service() -> None:
    with pytest.raises(TypeError, match="twice"):
        type("Again", (TaskEvent,), {"type": TaskReminderDue.type, "__module__": __name__})
    with pytest.raises(TypeError, match="does not belong"):

        class Misplaced(TaskEvent):
            type: ClassVar[str] = "crm.sales.lead.touched.v1"

    assert Event.__subclasses__()
    assert isinstance(TaskEvent.entity, Entity)
