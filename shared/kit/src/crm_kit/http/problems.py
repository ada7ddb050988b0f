"""Problem details (RFC 9457): an error becomes the answer that a client gets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from crm_contracts.problems import PROBLEMS
from crm_contracts.sentences import said
from crm_kit.errors import DomainError, FieldError, UnsupportedCoding
from crm_kit.http.phrases import of_rule
from crm_kit.store.presenter import to_json
from crm_language.languages import LANGUAGE
from crm_language.messages import detail_of, message_of, title_of

if TYPE_CHECKING:
    from fastapi.exceptions import RequestValidationError

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS: Final = 20
"""Number of offending places that a problem reports; ``error_count`` has the total if there are more."""
MAX_QUOTED: Final = 200
"""Characters of a name from the request that a pointer quotes."""

OTHERWISE: Final = 422
"""Status of a problem type that this release does not know: a newer service may answer it through an older gateway."""


class ProblemError(BaseModel):
    """One offending place of the request."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body, or the parameter's name.")
    code: str = Field(description="Stable code of the rule.")
    message: str = Field(
        description="A sentence for people that says what to send, in the language of `Accept-Language`."
    )


class Problem(BaseModel):
    """RFC 9457 problem details; some problems carry more members, named in the operation's description."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`/problems/<slug>`.", examples=["/problems/not-found"])
    title: str = Field(description="The type in words, in the language of `Accept-Language`.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What is wrong, and what to do about it, in that language.")
    instance: str = Field(description="Path of the request.")
    trace_id: str = Field(description="Trace id (W3C) for support and logs.")
    errors: list[ProblemError] = Field(
        default=[], max_length=MAX_ERRORS, description="The offending places, at most the first 20."
    )
    error_count: int | None = Field(
        default=None, description="Number of offending places, when there are more than `errors` lists."
    )


def status_of(slug: str) -> int:
    """The HTTP status of a problem type."""
    found = PROBLEMS.get(slug)
    return OTHERWISE if found is None else found.status


def problem(error: DomainError, path: str, trace_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """The problem document of an error, in the language of the request."""
    status, language = status_of(error.slug), LANGUAGE.get()
    body: dict[str, Any] = {
        "type": f"/problems/{error.slug}",
        "title": title_of(error.slug, language),
        "status": status,
        "detail": detail_of(error.slug, error.detail, language),
        "instance": path,
        "trace_id": trace_id,
    }
    if taken := body.keys() & error.members.keys():
        raise ValueError(f"members of RFC 9457 are not for rules to set: {sorted(taken)}")
    if error.errors:
        body["errors"] = [
            {"pointer": e.pointer, "code": e.code, "message": message_of(e.code, e.message, error.slug, language)}
            for e in error.errors
        ]
    body.update(error.members)
    extra = {"Content-Language": language, "Vary": "Accept-Language", **(headers or {})}
    if error.slug == "merged":  # also if another service answered it
        extra["Link"] = f'<{error.members["survivor"]["href"]}>; rel="successor-version"'
    if status == 401:
        extra.setdefault("WWW-Authenticate", 'Bearer realm="crm"')
    if isinstance(error, UnsupportedCoding):
        extra.setdefault(
            "Accept-Encoding", "identity"
        )  # RFC 9110 §12.5.3: the coding is the reason, not the media type
    if status in (429, 503):
        extra.setdefault("Retry-After", str(error.members.get("retry_after", 1)))
    return Response(to_json(body), status, extra, MEDIA_TYPE)


READ_ONLY = frozenset(
    {"id", "version", "status", "status_reason", "owner_type", "owner_id", "owner_name", "business_unit_id"}
    | {"created_at", "created_by", "modified_at", "modified_by", "number", "allowed_actions"}
)


def from_validation(error: "RequestValidationError", shown: frozenset[str] = frozenset()) -> DomainError:
    """The problem for pydantic's errors: 404 for a malformed id in the path, 400 for parameters, 422 for the body.

    ``shown`` are the fields of the answer: a field that a client can read but not send is ``read-only-field``.
    """
    found = error.errors()
    first = [_place(one, READ_ONLY | shown) for one in found[:MAX_ERRORS]]
    members = {"error_count": len(found)} if len(found) > MAX_ERRORS else {}
    origins = {str(one["loc"][0]) for one in found}
    if "path" in origins:
        return DomainError("not-found", "There is no such record.")
    places = tuple(first)
    if origins & {"query", "header", "cookie"}:
        return DomainError("invalid-parameter", places[0].message, places, members)
    if any(place.code == "read-only-field" for place in places):
        return DomainError(
            "read-only-field", "Leave out the fields that only the system or a command sets.", places, members
        )
    return DomainError(
        "validation", "The body does not fit its schema. Correct the fields that errors names.", places, members
    )


NO_OBJECT = ("model-type", "model-attributes-type", "dict-type")
"""pydantic's rules for a value that should be an object."""


def _place(found: Mapping[str, Any], read_only: frozenset[str]) -> FieldError:
    parts = found["loc"][1:]
    # pydantic adds this to the place of a wrong key. A pointer to the member names the key.
    parts = parts[:-1] if len(parts) > 1 and parts[-1] == "[key]" else parts
    location = [str(part)[:MAX_QUOTED].replace("~", "~0").replace("/", "~1") for part in parts]
    in_body = found["loc"][0] == "body"
    pointer = "".join(f"/{part}" for part in location) if in_body else "/".join(location)
    code = str(found["type"]).replace("_", "-")
    if in_body and not location and code in ("missing", *NO_OBJECT):
        if found["input"] is None:
            told = said("The body is missing or null. Send a JSON object with the fields of the schema.")
        else:
            told = said("The body is not a JSON object. Send a JSON object with the fields of the schema.")
        return FieldError(pointer, code, told)
    if code == "extra-forbidden" and len(location) == 1 and location[0] in read_only:
        return FieldError(pointer, "read-only-field", "Leave this field out: it is read-only.")
    if code == "extra-forbidden":
        if in_body:
            return FieldError(pointer, "unknown-field", said("Leave this out: there is no such field."))
        return FieldError(pointer, "unknown-field", said("Leave this out: there is no such parameter."))
    return FieldError(pointer, code, of_rule(found))
