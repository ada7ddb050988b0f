"""The first sentences of texts, for the document that programs read."""

import pytest

from crm_gateway.documents.texts import briefly, first_sentence

LONG = "The record that it is about, which may be of any service and of any kind that has records"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Id. Read-only.", "Id. Read-only."),
        (f"{LONG}. Read-only.", f"{LONG}."),
        (f"{LONG}: `a`, e.g. b. `c` is null. Unless given: `d`.", f"{LONG}: `a`, e.g. b. Unless given: `d`."),
        (f"{LONG}\n\nIts share is\nrounded.", LONG),
    ],
)
def test_a_long_text_is_told_by_its_first_sentence_and_its_default(text: str, told: str) -> None:
    assert first_sentence(text) == told


def test_the_document_for_programs_has_no_examples_and_all_about_problems() -> None:
    text = f"{LONG}. And more."
    schemas = {"Lead": {"description": text, "examples": [{"description": text}]}, "Problem": {"description": text}}
    paths = {"/leads": {"parameters": [], "get": {"summary": "Leads", "description": text, "responses": {}}}}
    told = briefly({"paths": paths, "components": {"schemas": schemas}})
    assert told["components"]["schemas"] == {
        "Lead": {"description": f"{LONG}."},
        "Problem": {"description": text},
    }
    assert told["paths"] == {"/leads": {"parameters": [], "get": {"summary": "Leads", "responses": {}}}}
