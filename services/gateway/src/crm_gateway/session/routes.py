"""``/session``: log in by cookie. The browser never has a token (RFC 9700, OAuth 2.0 for Browser-Based Applications §6.1)."""

from typing import Any, Final

import orjson
from fastapi import APIRouter, Request
from fastapi.responses import Response

from crm_contracts.sentences import said
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.proxy.refusing import makes_no_sense, refusal
from crm_gateway.session.cookies import Site
from crm_gateway.session.granting import IDENTITY, Whence
from crm_gateway.session.keeping import Held, SessionEnded, Sessions
from crm_gateway.session.schemas import LogIn, SessionState
from crm_kit.errors import DomainError
from crm_kit.http.requests import PublicRoute
from crm_kit.store.presenter import to_json

PATH: Final = "/api/v1/session"
ME: Final = "/api/v1/auth/me"
NEVER_STORED: Final = {"cache-control": "no-store"}

router = APIRouter(prefix="/session", tags=["session"], route_class=PublicRoute)


@router.post("", status_code=201, response_model=SessionState, operation_id="log_in")
async def log_in(body: LogIn, request: Request) -> Response:
    """Log in. The answer sets a cookie that scripts cannot read; requests of the page carry it in place of an access token.

    Each request that changes something needs `Crm-Csrf: 1` and comes from a page of this site (`Sec-Fetch-Site` or `Origin`),
    else 403 `cross-site-request`. 400 `invalid-grant` for a wrong name or password, and the limits of `POST /auth/token`. 403
    `encryption-required` over plain HTTP, except on this machine. A session that the cookie had before ends.
    """
    sessions, site, whence = _of(request)
    site.require_encryption()
    secret, held = await sessions.open(body.email, body.password, whence)
    if (before := site.secret) is not None:
        await sessions.end(before, whence)
    seconds = max(1, int((held.expires_at - held.began_at).total_seconds()))
    return await _answer(
        request, held, whence, 201, {"location": PATH, "set-cookie": _text(site.keep(secret, seconds))}
    )


@router.get("", response_model=SessionState, operation_id="get_session")
async def get_session(request: Request) -> Response:
    """Who is logged in with the cookie of this request. 401 `session-ended` if nobody is, or no longer."""
    sessions, site, whence = _of(request)
    secret = site.secret
    if secret is None:
        raise SessionEnded
    held, _ = await sessions.caller(secret, whence)
    try:
        return await _answer(request, held, whence, 200, {})
    except DomainError as error:
        if error.slug != "token-superseded":
            raise
        # Identity knows of a change of rights before the gateway does.
        return await _answer(request, await sessions.renew(secret, held, whence), whence, 200, {})


@router.delete("", status_code=204, operation_id="log_out")
async def log_out(request: Request) -> Response:
    """Log out: the session ends in all tabs of the browser within 2 s. 204 also if nobody was logged in."""
    sessions, site, whence = _of(request)
    if (secret := site.secret) is not None:
        await sessions.end(secret, whence)
    return Response(status_code=204, headers={**NEVER_STORED, "set-cookie": _text(site.forget())})


async def _answer(request: Request, held: Held, whence: Whence, status: int, headers: dict[str, str]) -> Response:
    upstream = request.app.state.upstreams.get(IDENTITY)
    if upstream is None:
        raise Unavailable(said("The service '{service}' is not part of this installation.", service=IDENTITY))
    told = await upstream.fetch(ME, [*whence.headers, ("authorization", f"Bearer {held.access_token}")])
    if told.status != 200:
        raise refusal(IDENTITY, told)
    try:
        user: Any = orjson.loads(told.body)
    except orjson.JSONDecodeError:
        raise makes_no_sense(IDENTITY, "no JSON") from None
    shown = {"id": held.session_id, "began_at": held.began_at, "expires_at": held.expires_at, "user": user}
    return Response(to_json(shown), status, {**NEVER_STORED, **headers}, "application/json")


def _of(request: Request) -> tuple[Sessions, Site, Whence]:
    """What the edge found out about the request."""
    return request.app.state.sessions, request.scope["crm.site"], request.scope["crm.whence"]


def _text(header: bytes) -> str:
    return header.decode("latin-1")
