"""The first statements of texts, for the document that programs read."""

import pytest

from crm_gateway.documents.texts import briefly, first_statement

LONG = "The record that it is about, of any service and of any kind that has records"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Id. Read-only.", "Id. Read-only."),
        (f"{LONG}. Read-only.", f"{LONG}."),
        (f"{LONG}: `a`, e.g. b. `c` is null. Unless given: `d`.", f"{LONG}. Unless given: `d`."),
        (f"{LONG}, because of `a`.", f"{LONG}."),
        (f"{LONG} (one; two) and more (RFC 5545 §3.3).", f"{LONG} (one; two) and more."),
        ("`a`: the price list decides", "`a`: the price list decides"),
        (f"{LONG}\n\nIts share is\nrounded.", LONG),
    ],
)
def test_a_long_text_is_told_by_its_first_statement_and_its_default(text: str, told: str) -> None:
    assert first_statement(text) == told


def test_the_document_for_programs_has_no_examples_and_all_about_problems() -> None:
    text = f"{LONG}. And more."
    schemas = {
        "Lead": {
            "description": text,
            "examples": [{"topic": text}],
            "properties": {"topic": {"description": text}, "note": {"description": "Free text."}},
        },
        "Problem": {"description": text},
    }
    paths = {
        "/leads": {
            "parameters": [],
            "get": {"summary": "Leads that you may read: filter", "description": text, "responses": {}},
        }
    }
    told = briefly({"paths": paths, "components": {"schemas": schemas}})
    assert told["components"]["schemas"] == {
        "Lead": {"properties": {"topic": {"description": f"{LONG}."}, "note": {}}},
        "Problem": {"description": text},
    }
    assert told["paths"] == {
        "/leads": {"parameters": [], "get": {"summary": "Leads that you may read", "responses": {}}}
    }
