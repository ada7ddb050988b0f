"""``/docs``: Swagger UI over the merged document. All of it is served from here, so that it works without the internet."""

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
"""No foreign source and no inline script. Swagger UI does set inline styles."""

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
<link rel="icon" href="/docs/assets/favicon-32x32.png">
</head>
<body>
<div id="api"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

START: Final = """SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  filter: true,
  docExpansion: "none",
  persistAuthorization: false,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis]
});
"""

ASSETS = StaticFiles(directory=Path(str(files("fastapi_swagger") / "resources")))

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return Response(PAGE, headers=HEADERS, media_type="text/html")


@router.get("/docs/start.js")
async def start() -> Response:
    """What the page runs; a file of its own, because the policy allows no inline script."""
    return Response(START, headers=HEADERS, media_type="text/javascript")
