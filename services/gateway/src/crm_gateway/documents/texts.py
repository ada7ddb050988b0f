"""The document for programs: the same contract with the first statement of each text, and without examples (ADR 81).

Whole texts and examples are for people, and are in the document that ``/docs`` shows.
"""

import re
from typing import Any, Final

from crm_contracts.problems import PROBLEMS
from crm_gateway.documents.compacting import PROBLEM, operations
from crm_gateway.documents.publishing import mapped

Node = dict[str, Any]

LONG: Final = 30
"""Characters from which on only the first statement of a text is told."""
LEAST: Final = 8
"""Characters of the shortest statement that is told alone."""
SHORT: Final = 40
"""Characters below which the text of a member says no more than its name and type, such as `By service.`."""
_SLUG: Final = re.compile(r"`([a-z][a-z-]+)`")
_NEXT_SENTENCE: Final = re.compile(r"(?<=[.?!])\s+(?=[A-Z`\d])|\n\n")
_NEXT_STATEMENT: Final = re.compile(
    r"[;:] |, (?=because |so |such as |where |which |whose |with its |owned by |newest first|else )"
)
_SOURCE: Final = re.compile(r" \((?:RFC|ISO|IANA|Dataverse)[^()]*\)")
"""Where a rule comes from."""
_SAYS_DEFAULT: Final = "Unless given"


def name_problems(document: Node) -> None:
    """Let each operation name, in place, the problem types that its description tells of: ``x-problems``."""
    for operation in operations(document):
        named = {slug for slug in _SLUG.findall(operation.get("description", "")) if slug in PROBLEMS}
        if named:
            operation["x-problems"] = sorted(named)


def briefly(document: Node) -> Node:
    """Return the document with the first statement of each text. What a field is unless given is told, too.

    Schemas have no texts of their own, because their names and their members say what they are; nor have members whose
    whole text is short.
    """
    told: Node = mapped(document, _without_example)
    schemas = told["components"]["schemas"]
    schemas |= {name: _briefly(one) for name, one in schemas.items() if name != PROBLEM}
    for operation in operations(told):
        operation.pop("description", None)
        if "parameters" in operation:
            operation["parameters"] = [_shortened(one) for one in operation["parameters"]]
        if isinstance(summary := operation.get("summary"), str):
            operation["summary"] = first_statement(summary).rstrip(".")
    return told


def first_statement(text: str) -> str:
    """Return a short text as it is; of a longer one, the first statement, and the one about what holds unless it is given."""
    if len(text) <= LONG:
        return text
    first, *others = _NEXT_SENTENCE.split(text)
    first = _SOURCE.sub("", first)
    ends = (end.start() for end in _NEXT_STATEMENT.finditer(first, LEAST))
    # What stands in brackets is no statement of its own.
    end = next((end for end in ends if first.count("(", 0, end) == first.count(")", 0, end)), None)
    kept = [one for one in others if one.startswith(_SAYS_DEFAULT)]
    return " ".join([first if end is None else f"{first[:end]}.", *kept[-1:]])


def _briefly(schema: Node) -> Node:
    brief: Node = mapped(schema, _without_short_text)
    # A schema that is only a text and a reference, as some members have it, is never one of the named ones.
    brief.pop("description", None)
    return brief


def _without_short_text(node: Node) -> Node:
    text = node.get("description")
    if isinstance(text, str) and len(text) < SHORT and _SAYS_DEFAULT not in text:
        return {key: value for key, value in node.items() if key != "description"}
    return _shortened(node)


def _without_example(node: Node) -> Node:
    return {key: value for key, value in node.items() if key not in ("example", "examples")}


def _shortened(node: Node) -> Node:
    text = node.get("description")
    return {**node, "description": first_statement(text)} if isinstance(text, str) else node
