"""The document for programs: the same contract with the first sentence of each text, and without examples (ADR 81).

Whole texts and examples are for people, and are in the document that ``/docs`` shows.
"""

import re
from typing import Any, Final

from crm_contracts.problems import PROBLEMS
from crm_gateway.documents.compacting import PROBLEM, operations
from crm_gateway.documents.publishing import mapped

Node = dict[str, Any]

LONG: Final = 80
"""Characters from which on only the first sentence of a text is told."""
_SLUG: Final = re.compile(r"`([a-z][a-z-]+)`")
_NEXT_SENTENCE: Final = re.compile(r"(?<=[.?!])\s+(?=[A-Z`\d])|\n\n")
_SAYS_DEFAULT: Final = "Unless given"


def name_problems(document: Node) -> None:
    """Let each operation name, in place, the problem types that its description tells of: ``x-problems``."""
    for operation in operations(document):
        named = {slug for slug in _SLUG.findall(operation.get("description", "")) if slug in PROBLEMS}
        if named:
            operation["x-problems"] = sorted(named)


def briefly(document: Node) -> Node:
    """Return the document with the first sentence of each text. What a field is unless given is told, too."""
    told: Node = mapped(document, _without_example)
    schemas = told["components"]["schemas"]
    schemas |= {name: mapped(one, _shortened) for name, one in schemas.items() if name != PROBLEM}
    for operation in operations(told):
        operation.pop("description", None)
    return told


def first_sentence(text: str) -> str:
    """Return a short text as it is; of a longer one, the first sentence, and the one about what holds unless it is given."""
    if len(text) <= LONG:
        return text
    first, *others = _NEXT_SENTENCE.split(text)
    kept = [one for one in others if one.startswith(_SAYS_DEFAULT)]
    return " ".join([first, *kept[-1:]])


def _without_example(node: Node) -> Node:
    return {key: value for key, value in node.items() if key not in ("example", "examples")}


def _shortened(node: Node) -> Node:
    text = node.get("description")
    return {**node, "description": first_sentence(text)} if isinstance(text, str) else node
