"""Foreign tools take the events: SDKs of CloudEvents, a strict validator of JSON Schema, a generator of types."""

import json
import re
from pathlib import Path

import pytest
from cloudevents.core.formats.json import JSONFormat

from crm_contracts.asyncapi import document
from crm_contracts.catalogue import all_events
from crm_contracts.examples import example
from crm_contracts.samples import sample
from crm_contracts.schemas import event_schema
from tests.node.tools import SCRIPTS, Node


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A file with an example of each event."""
    path = tmp_path / "events.json"
    path.write_text(json.dumps([found for event in all_events() for found in (example(event), sample(event))]))
    return path


def test_the_sdk_of_javascript_takes_every_event_in_strict_mode(node: Node, examples: Path) -> None:
    told = node.run(SCRIPTS / "cloudevents.mjs", examples, cwd=SCRIPTS)
    assert told.strip() == f"{2 * len(all_events())} events"


def test_the_sdk_of_python_takes_every_event(examples: Path) -> None:
    for event in json.loads(examples.read_text()):
        read = JSONFormat().read(None, json.dumps(event))
        assert read.get_dataschema() == event["dataschema"]
        assert read.get_data() == event["data"]


def test_a_strict_validator_takes_every_schema_and_its_example(node: Node, tmp_path: Path) -> None:
    pairs = tmp_path / "schemas.json"
    pairs.write_text(
        json.dumps([{"schema": event_schema(event), "data": example(event)["data"]} for event in all_events()])
    )
    told = node.run(SCRIPTS / "schemas.mjs", pairs, cwd=SCRIPTS)
    assert told.strip() == f"{len(all_events())} schemas"


def test_types_made_from_the_asyncapi_document_have_names(node: Node, tmp_path: Path) -> None:
    path = tmp_path / "asyncapi.json"
    path.write_text(json.dumps(document()))
    models = node.run(SCRIPTS / "models.mjs", path, cwd=SCRIPTS).split()
    assert {"LeadQualified", "LeadQualifiedData", "LeadRecord", "LeadStatus", "Money", "Address"} <= {*models}
    assert [name for name in models if re.search("anonymous", name, re.IGNORECASE)] == []
    assert len(models) == len({*models})
