"""``/docs``: Swagger UI for the merged document, one area of work at a time, with a log-in by name and password.

All files are served from here, so that it works without the internet. The tokens stay in the memory of the page.
"""

from importlib.resources import files
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

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
START: Final = (FILES / "start.js").read_text(encoding="utf-8")
STYLE: Final = (FILES / "page.css").read_text(encoding="utf-8")

ASSETS = StaticFiles(directory=Path(str(files("fastapi_swagger") / "resources")))

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """Return the page."""
    return Response(PAGE, headers=HEADERS, media_type="text/html")


@router.get("/docs/start.js")
async def start() -> Response:
    """Return the script of the page. It is a separate file, because the policy allows no inline scripts."""
    return Response(START, headers=HEADERS, media_type="text/javascript")


@router.get("/docs/page.css")
async def style() -> Response:
    """Return the style of what the page has beside Swagger UI."""
    return Response(STYLE, headers=HEADERS, media_type="text/css")
