"""The documents at the ``type`` of each problem: HTML for people, JSON for programs."""

import html
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_contracts.problems import PROBLEMS
from crm_gateway.documents.openapi import read
from crm_kit.errors import DomainError
from crm_kit.http.problems import status_of
from crm_kit.http.requests import PublicRoute
from crm_kit.store.presenter import to_json
from crm_language.languages import LANGUAGE
from crm_language.messages import detail_of, title_of

OF_A_NEWER_SERVICE: Final = "A rule of the operations below. The answer's `detail` and `errors` say what and where."
"""The description of a problem type that only a newer release of a service names in its document."""

SLUG: Final = re.compile(r"[a-z][a-z-]{1,63}")

PAGE: Final = """<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>HTTP status {status}. {explanation}</p>{operations}
<p><a href="/docs">API documentation</a></p></body></html>
"""
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "public, max-age=300",
    "vary": "Accept, Accept-Language",
}

router = APIRouter(include_in_schema=False, route_class=PublicRoute)


@router.get("/problems/{slug}")
async def explain(slug: str, request: Request) -> Response:
    """One problem type: its meaning, and the operations whose descriptions name it."""
    if not SLUG.fullmatch(slug):
        raise DomainError("not-found", "There is no such problem.")
    operations = sorted(_naming(slug, orjson.loads((await read(request)).body)))
    known = PROBLEMS.get(slug)
    if known is None and not operations:
        raise DomainError("not-found", "No operation has this problem.")
    language = LANGUAGE.get()
    title = title_of(slug, language)
    explanation = detail_of(slug, known.meaning, language) if known else OF_A_NEWER_SERVICE
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
        language=language,
        title=html.escape(title),
        status=status_of(slug),
        explanation=html.escape(explanation),
        operations=f"<ul>{listed}</ul>" if listed else "",
    )
    return Response(page, headers=HEADERS, media_type="text/html")


def _naming(slug: str, document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not isinstance(operation, dict):
                continue
            text = f"{operation.get('summary', '')}. {operation.get('description', '')}".strip()
            if slug in operation.get("x-problems", ()) or f"`{slug}`" in text:
                yield f"{method.upper()} {path}", text
