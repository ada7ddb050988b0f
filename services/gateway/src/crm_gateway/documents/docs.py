"""``/docs``: Swagger UI for the merged document, one area of work at a time, with a log-in by name and password.

All files are served from here, so that it works without the internet. The tokens stay in the memory of the page.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_gateway.documents.openapi import read
from crm_gateway.kept import Kept
from crm_kit.errors import DomainError
from crm_kit.http.requests import PublicRoute

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""No foreign sources and no inline scripts. Swagger UI sets inline styles."""

HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}

PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Liaison API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="stylesheet" href="/docs/page.css">
<link rel="icon" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<header>
<form id="login">
<label>Name <input name="username" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
<p id="session" hidden><span></span> <button type="button">Log out</button></p>
<p id="refusal" role="alert"></p>
<nav id="areas" aria-label="Areas"></nav>
</header>
<div id="api"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

FILES: Final = Path(str(files("crm_gateway.documents") / "page"))
ASSETS: Final = Path(str(files("fastapi_swagger") / "resources"))
TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".png": "image/png"}

router = APIRouter(include_in_schema=False, route_class=PublicRoute)

page = Kept(PAGE.encode, "text/html", HEADERS)


@cache
def kept_files() -> Mapping[str, Kept]:
    """The files of the page, by path below ``/docs/``. A file is read when somebody asks for it first."""
    found = {f"assets/{one.name}": one for one in ASSETS.iterdir()} | {one.name: one for one in FILES.iterdir()}
    return {
        name: Kept(one.read_bytes, TYPES[one.suffix], HEADERS) for name, one in found.items() if one.suffix in TYPES
    }


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the page."""
    return await page.answer(request)


@router.get("/docs/openapi.json")
async def described(request: Request) -> Response:
    """Return the document with all its texts, which the page shows."""
    merged = await read(request)
    return await merged.whole.answer(request, merged.headers)


@router.get("/docs/{name:path}")
async def file(request: Request, name: str) -> Response:
    """Return a script, a style or a picture of the page. The policy allows no inline scripts."""
    found = kept_files().get(name)
    if found is None:
        raise DomainError("not-found", "The documentation has no such file.")
    return await found.answer(request)
