"""The commands, on a checkout of their own; and the promise to every release, on the real one."""

import hashlib
import json
from pathlib import Path

import pytest

from crm_contracts import asyncapi, cli
from crm_contracts.catalogue import all_events


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    cli.generate(tmp_path)
    cli.release("1.0.0", tmp_path)
    return tmp_path


def test_this_checkout_keeps_its_promise_to_every_release() -> None:
    assert cli.check() == []
    assert [folder.name for folder in cli.releases()][:1] == ["1.0.0"]
    assert cli.releases()[-1].name == asyncapi.VERSION, "the document has the version of the last release"


def test_a_fresh_release_passes_its_own_check(checkout: Path) -> None:
    assert cli.check(checkout) == []
    samples = checkout / "shared/contracts/schemas/released/1.0.0/samples"
    assert {path.stem for path in samples.iterdir()} == {event.type for event in all_events()}


def test_a_stale_document_is_named(checkout: Path) -> None:
    (checkout / "docs/events.md").write_text("old")
    assert cli.check(checkout) == ["docs/events.md is out of date; run ./crm contracts generate"]
    cli.generate(checkout)
    assert cli.check(checkout) == []


def test_a_field_that_a_release_had_is_missed(checkout: Path) -> None:
    path = checkout / "shared/contracts/schemas/released/1.0.0/schemas.json"
    schemas = json.loads(path.read_text())
    schemas["$defs"]["TeamRecord"]["properties"]["motto"] = {"type": "string"}
    path.write_text(json.dumps(schemas))
    found = cli.check(checkout)
    assert "breaks 1.0.0: crm.identity.team.created.v1 record.motto: the field was removed" in found
    with pytest.raises(ValueError, match="motto"):
        cli.release("1.1.0", checkout)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("type", "crm.sales.lead.vanished.v1", "there is no such event any more"),
        ("entityversion", 0, "entityversion is not valid"),
        ("data", {"record": {}}, "record.id: Field required"),
    ],
)
def test_a_sample_that_cannot_be_read_is_named(checkout: Path, key: str, value: object, said: str) -> None:
    path = checkout / "shared/contracts/schemas/released/1.0.0/samples/crm.sales.lead.qualified.v1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    assert cli.check(checkout) == [f"sample of 1.0.0: crm.sales.lead.qualified.v1: {said}"]


@pytest.mark.parametrize("version", ["1.0.0", "0.9.0", "1.0", "v2.0.0", "../2.0.0"])
def test_a_version_must_be_new_and_well_formed(checkout: Path, version: str) -> None:
    with pytest.raises(ValueError, match=r"version|come after"):
        cli.release(version, checkout)


def test_versions_are_ordered_as_numbers(checkout: Path) -> None:
    cli.release("1.9.0", checkout)
    cli.release("1.10.0", checkout)
    assert [folder.name for folder in cli.releases(checkout)] == ["1.0.0", "1.9.0", "1.10.0"]


def test_the_files_of_a_release_are_those_that_the_checkout_knows_by_hash(checkout: Path, tmp_path: Path) -> None:
    cli.generate(checkout, tmp_path / "files")
    document = tmp_path / "files/asyncapi.json"
    assert json.loads(document.read_text())["info"]["version"] == "1.0.0"
    digest = hashlib.sha256(document.read_bytes()).hexdigest()
    assert (checkout / "docs/asyncapi.json.sha256").read_text() == f"{digest}  asyncapi.json\n"
    schema = json.loads((tmp_path / "files/schemas/crm.sales.lead.qualified.v1.json").read_text())
    assert schema["$id"] == "urn:liaison:schema:crm.sales.lead.qualified.v1"


def test_check_answers_with_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 0
    assert "compatible with" in capsys.readouterr().out
    assert cli.main(["release", "nonsense"]) == 1
