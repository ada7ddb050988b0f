"""The documents at the ``type`` of each problem: a page for people, JSON for programs."""

import html
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_gateway.documents.openapi import merged
from crm_kit.errors import DomainError
from crm_kit.http.problems import STATUS, status_of
from crm_kit.http.requests import PublicRoute
from crm_kit.store.presenter import to_json

EXPLAINED: Final = {
    "invalid-json": "Send valid JSON that is nested at most 32 levels deep.",
    "invalid-parameter": "A query parameter has a wrong value. `errors` names it and says what is allowed.",
    "invalid-filter": "A filter has an unknown field, an unknown operator or a value of the wrong type, or is too large. `detail`"
    " says what is allowed.",
    "invalid-cursor": "The cursor was changed, or belongs to another list, filter, sort order or caller. Start again without"
    " `after`.",
    "invalid-header": "A header has a wrong value. `detail` names the header.",
    "invalid-idempotency-key": "Send an Idempotency-Key of 1 to 255 visible ASCII characters.",
    "invalid-request": "The request is not valid. `detail` says what to send.",
    "invalid-grant": "The password, refresh token or client secret is wrong, already used or expired (RFC 6749 §5.2).",
    "invalid-client": "The client is unknown, or its secret is wrong (RFC 6749 §5.2).",
    "token-missing": "Send `Authorization: Bearer <token>`; `POST /api/v1/auth/token` issues one.",
    "token-invalid": "The access token cannot be read, comes from another issuer, or has a wrong signature."
    " Log in again.",
    "token-expired": "An access token is valid for ten minutes. Get a new one with the refresh token.",
    "token-superseded": "Your rights, your password or the status of your account has changed since the token was issued. Get"
    " a new one with the refresh token. If that is refused, log in again.",
    "forbidden": "None of your security roles allows this, or none allows it for this record. `detail` names the privilege that"
    " you need. Ask an administrator for a role that has it.",
    "not-found": "The path or record does not exist, or you may not read it. The answer does not say which.",
    "method-not-allowed": "The path does not take this method. The header Allow lists those it takes.",
    "not-acceptable": "The path has no representation of a type in your Accept header.",
    "request-timeout": "The head of a request must arrive within 10 seconds, and so must its body. A file must arrive at 1 KiB a"
    " second or more. Send the request in one piece, over a faster connection.",
    "illegal-transition": "The status of the record does not allow this command. `allowed` lists the commands that it allows."
    " `GET /api/v1/meta/state-machines` shows all state machines.",
    "possible-duplicates": "Records with the same e-mail address, phone number or a similar name exist. The problem lists them."
    " Use one of them, or repeat the request with `duplicates=allow`, or with `allow_duplicates: true` in a command that"
    " creates customers.",
    "in-progress": "A request with the same Idempotency-Key is still running. Send it again in a moment.",
    "in-use": "Other records refer to this one. The problem lists them. Change or delete them first.",
    "not-deletable": "The status of the record does not allow deletion. `detail` says what to do instead.",
    "unfinished-business": "Records that belong to this one are not finished. The problem lists them. Finish them, or send"
    " `force: true`.",
    "last-administrator": "At least one user who can log in must keep the Administrator role. Give it to another user first.",
    "already-exists": "Another record has this value, which must be unique. Send another value.",
    "already-ordered": "A quote can become an order only once. The problem names the order.",
    "merged": "The record was merged into another. The problem links the survivor. Use that one.",
    "stale": "The record has changed since you read it. Read it again, check your change, and send the new ETag in If-Match.",
    "body-too-large": "Send a body of at most 1 MiB. Imports and files may be larger.",
    "unsupported-media-type": "Send application/json, or application/merge-patch+json in a PATCH, and no Content-Encoding.",
    "if-match-required": "Send If-Match with the record's ETag, or `*` to overwrite any version.",
    "head-too-large": "Send at most 64 KiB in the request line and the header fields, and at most 100 fields.",
    "too-many-requests": "You send more requests than your share, in one second or at the same time. Wait for the seconds in"
    " Retry-After. The RateLimit headers say how many requests remain in this second.",
    "account-locked": "Too many log-ins with this name failed. Wait for the seconds in Retry-After before you try again, or"
    " ask an administrator for a new password (`reset-password`).",
    "internal-error": "An internal error occurred. Give your operators the `trace_id`.",
    "upstream-failed": "A service gave an invalid answer. Try again, or give your operators the `trace_id`.",
    "not-yet-projected": "The service did not receive the versions in Crm-After within two seconds. Try again. If the code is"
    " `parked`, tell your operators.",
    "unavailable": "A service or its database is down or busy. Try again after the seconds in Retry-After. Send an"
    " Idempotency-Key with a POST, so that the retry is safe.",
    "deadline-exceeded": "The request took longer than its deadline, and it may have taken effect. Send it again with the same"
    " Idempotency-Key, or read the record.",
    "validation": "The body does not fit its schema. `errors` points at each place.",
    "read-only-field": "The body sets a field that only the system or a command sets. Leave it out.",
    "unknown-reference": "A reference points at a record that does not exist or that you may not read. If the record was just"
    " created in another service, send its `Crm-Version` as `Crm-After`.",
    "inactive-reference": "A new reference cannot point at an inactive record. Choose another one, or activate it first.",
    "unknown-reason": "The command does not take this reason. The message lists the reasons that it takes.",
    "idempotency-key-reused": "The Idempotency-Key was used with another body in the last 24 hours. Send a new key.",
    "too-expensive": "The request would take longer than its deadline. `detail` says what to leave out. For a list, also filter"
    " by `status`, `owner_id` or `created_at`, search for longer text, or leave out `count=exact`.",
    "guessable-password": "The password is easy to guess: it is common, repeats itself, or contains your name, your address"
    " or the organisation's name. Choose several unrelated words.",
    "too-large": "The event of the record would be larger than 1 MiB. Shorten the field that the problem names.",
}
"""Problems that any operation may have. The description of an operation explains its own rules."""

SLUG: Final = re.compile(r"[a-z][a-z-]{1,63}")

PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>HTTP status {status}. {explanation}</p>{operations}
<p><a href="/docs">API documentation</a></p></body></html>
"""
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "public, max-age=300",
    "vary": "Accept",
}

router = APIRouter(include_in_schema=False, route_class=PublicRoute)


@router.get("/problems/{slug}")
async def explain(slug: str, request: Request) -> Response:
    """One problem type: its meaning, and the operations whose descriptions name it."""
    if not SLUG.fullmatch(slug):
        raise DomainError("not-found", "There is no such problem.")
    body, _, _ = await merged(request)
    operations = sorted(_naming(slug, orjson.loads(body)))
    explanation = EXPLAINED.get(slug)
    if explanation is None and slug not in STATUS and not operations:
        raise DomainError("not-found", "No operation has this problem.")
    title = slug.replace("-", " ").capitalize()
    explanation = (
        explanation or "A rule of the operations below; the answer's `detail` and `errors` say what and where."
    )
    if "text/html" not in request.headers.get("accept", ""):
        told = {
            "type": f"/problems/{slug}",
            "title": title,
            "status": status_of(slug),
            "description": explanation,
            "operations": [{"operation": name, "description": text} for name, text in operations],
        }
        return Response(to_json(told), headers=HEADERS, media_type="application/json")
    listed = "".join(f"<li><b>{html.escape(name)}</b> {html.escape(text)}</li>" for name, text in operations)
    page = PAGE.format(
        title=html.escape(title),
        status=status_of(slug),
        explanation=html.escape(explanation),
        operations=f"<ul>{listed}</ul>" if listed else "",
    )
    return Response(page, headers=HEADERS, media_type="text/html")


def _naming(slug: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            text = operation.get("description", "") if isinstance(operation, dict) else ""
            if f"`{slug}`" in text:
                yield f"{method.upper()} {path}", text
