"""What many operations of a document say alike is said once, as a component (ADR 68)."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

from crm_kit.http.openapi import MEANINGS
from crm_kit.http.problems import MEDIA_TYPE
from crm_kit.store.presenter import to_json

Node = dict[str, Any]

METHODS: Final = ("get", "head", "post", "put", "patch", "delete")
PROBLEM: Final = "Problem"
"""The answer to every request that is refused, and its schema."""
REFUSED: Final[Node] = {
    "description": "A problem (RFC 9457); its `type` leads to an explanation. `x-problems` of an operation names the types of its"
    " own rules.\n\n"
    + "\n".join(
        f"- {status}: {meaning}"
        for status, meaning in sorted({**MEANINGS, 502: "A service gave an invalid answer."}.items())
    ),
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{PROBLEM}"}}},
    "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("Retry-After", "RateLimit")},
}
RATE_LIMIT: Final[Node] = {
    "description": "On every answer of the API: requests that the caller has left (`r`), and the seconds until all are"
    " restored (`t`), as in draft-ietf-httpapi-ratelimit-headers; `RateLimit-Policy` has the quota.",
    "schema": {"type": "string"},
    "example": '"caller";r=999;t=1',
}


def operations(document: Node) -> Iterator[Node]:
    """Yield the operations of a document."""
    for item in document["paths"].values():
        for method in METHODS:
            if method in item:
                yield item[method]


def compacted(document: Node) -> Node:
    """Return the document with its repeated parameters and responses as components, and with security said once.

    The headers of answers that are otherwise alike are united in the given document: each is sent where its description says.
    """
    _unite_headers(document)
    security = Counter(str(operation.get("security", [])) for operation in operations(document))
    usual = security.most_common(1)[0][0] if security else "[]"
    parameters = _Shared("parameters", document, _parameters)
    responses = _Shared("responses", document, _responses)

    def shorter(operation: Node) -> Node:
        made = {**operation}
        if "parameters" in made:
            made["parameters"] = [parameters.referred(*_named_parameter(one)) for one in made["parameters"]]
        made["responses"] = {
            code: responses.referred(*_named_response(code, one)) for code, one in _told(made["responses"]).items()
        }
        made["responses"]["default"] = {"$ref": f"#/components/responses/{PROBLEM}"}
        made.pop("x-not-keyed", None)
        made.pop("x-streams", None)
        made.pop("description", None)
        made |= _in_a_line(operation)
        if str(made.get("security", [])) == usual:
            made.pop("security", None)
        else:
            made.setdefault("security", [])
        return made

    paths = {
        path: _with_common({key: shorter(value) if key in METHODS else value for key, value in item.items()})
        for path, item in document["paths"].items()
    }
    common: list[Node] = next(
        (one["security"] for one in operations(document) if str(one.get("security", [])) == usual != "[]"), []
    )
    components = {
        **document["components"],
        "headers": {**document["components"].get("headers", {}), "RateLimit": RATE_LIMIT},
        "parameters": parameters.made,
        "responses": {**responses.made, PROBLEM: REFUSED},
    }
    return {**document, "security": common, "paths": paths, "components": {k: v for k, v in components.items() if v}}


def _in_a_line(operation: Node) -> Node:
    """The first sentence of the description as the summary, and the rest as the description.

    FastAPI's summary is the name of a function in words.
    """
    first, _, others = operation.get("description", "").partition("\n\n")
    sentence, full_stop, rest = " ".join(first.split()).partition(". ")
    summary = sentence if not full_stop else f"{sentence}."
    told = "\n\n".join(part for part in (rest, others) if part)
    return {"summary": summary.rstrip("."), **({"description": told} if told else {})}


def _unite_headers(document: Node) -> None:
    alike: dict[bytes, Node] = {}
    for operation in operations(document):
        for code, response in operation["responses"].items():
            if code < "3" and "content" in response:
                text = to_json([code, response["content"]])
                united = alike.setdefault(text, response)
                if sent := response.get("headers"):
                    united.setdefault("headers", {}).update(sent)
                operation["responses"][code] = united


def _with_common(item: Node) -> Node:
    """Say parameters that all operations of a path have once, for the path."""
    found = [item[method] for method in METHODS if method in item]
    first, *others = ([one for one in operation.get("parameters", []) if "$ref" in one] for operation in found)
    common = [one for one in first if others and all(one in other for other in others)]
    for operation in found if common else ():
        operation["parameters"] = [one for one in operation["parameters"] if one not in common]
        if not operation["parameters"]:
            del operation["parameters"]
    return {**({"parameters": common} if common else {}), **item}


def one_problem(schemas: dict[str, Node]) -> None:
    """Describe all problems by one schema, in place: every operation can have any, and their members have one meaning each."""
    members = schemas.get(PROBLEM, {}).get("properties")
    if members is None:
        return
    for name in [name for name in schemas if name.endswith(PROBLEM) and name != PROBLEM]:
        for member, described in schemas.pop(name)["properties"].items():
            members.setdefault(member, described)


class _Shared:
    """Components of one kind, made of what occurs more than once."""

    def __init__(self, kind: str, document: Node, found: Callable[[Node], Iterator[Node]]) -> None:
        self._kind = kind
        self._times = Counter(to_json(one) for operation in operations(document) for one in found(operation))
        self._names: dict[bytes, str] = {}
        self.made: dict[str, Node] = {**document["components"].get(kind, {})}

    def referred(self, name: str, one: Node) -> Node:
        """Return a reference to the part, or the part if it occurs once."""
        text = to_json(one)
        if "$ref" in one or self._times[text] < 2:
            return one
        if text not in self._names:
            free, number = name, 1
            while free in self.made:
                number += 1
                free = f"{name}{number}"
            self._names[text], self.made[free] = free, one
        return {"$ref": f"#/components/{self._kind}/{self._names[text]}"}


def _parameters(operation: Node) -> Iterator[Node]:
    yield from operation.get("parameters", [])


def _responses(operation: Node) -> Iterator[Node]:
    yield from _told(operation["responses"]).values()


def _told(responses: Node) -> Node:
    """The answers of an operation that differ from those of others: all but problems."""
    return {code: one for code, one in responses.items() if code < "4"}


def _named_parameter(parameter: Node) -> tuple[str, Node]:
    return re.sub(r"[^A-Za-z0-9._-]", "_", parameter["name"]), parameter


def _named_response(code: str, response: Node) -> tuple[str, Node]:
    schemas = [media.get("schema", {}) for media in response.get("content", {}).values()]
    named = next((one["$ref"].rpartition("/")[2] for one in schemas if "$ref" in one), "")
    what = {"201": "Created", "202": "Accepted", "204": "Done"}.get(code, "")
    return f"{named}{what}" or f"Answer{code}", response
