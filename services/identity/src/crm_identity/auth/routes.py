"""The HTTP face of authentication: OAuth 2.0 tokens and what belongs to them."""

import base64
import binascii
from collections.abc import Callable, Coroutine
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Request, Response

from crm_identity.auth import commands
from crm_identity.auth.grants import (
    Refused,
    Tokens,
    by_client,
    by_password,
    by_refresh,
    invalid_client,
    invalid_request,
)
from crm_identity.auth.issue import key_ring
from crm_identity.auth.schemas import KeySet, MeRead, PasswordChange, TokenRead
from crm_identity.auth.sessions import From, end_session_of
from crm_identity.auth.throttle import address_key, take
from crm_identity.settings import IdentitySettings, settings_of
from crm_kit import clock
from crm_kit.http.requests import PublicRoute, Route, Uow
from crm_kit.network.addresses import client_address
from crm_kit.process.runtime import Runtime
from crm_kit.store.presenter import to_json

NEVER_STORED = {"cache-control": "no-store", "pragma": "no-cache"}


class TokenRoute(PublicRoute):
    """A route whose answers, errors too, must stay out of every cache (RFC 6749 §5.1)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def run(request: Request) -> Response:
            response = await handle(request)
            response.headers.update(NEVER_STORED)
            if response.status_code == 401:
                # Not the scheme of all other paths: here it is the client that failed to prove who it is.
                response.headers["www-authenticate"] = 'Basic realm="crm"'
            return response

        return run


public = APIRouter(prefix="/auth", tags=["authentication"], route_class=TokenRoute)
keys = APIRouter(prefix="/auth", tags=["authentication"], route_class=PublicRoute)
private = APIRouter(prefix="/auth", tags=["authentication"], route_class=Route)


@public.post("/token", response_model=TokenRead, operation_id="create_token")
async def create_token(
    request: Request,
    grant_type: Annotated[str | None, Form(description="`password`, `refresh_token` or `client_credentials`.")] = None,
    username: Annotated[str | None, Form(description="E-mail address; with `password`.")] = None,
    password: Annotated[str | None, Form(description="Password; with `password`.")] = None,
    refresh_token: Annotated[
        str | None, Form(description="The last refresh token that you got; with `refresh_token`.")
    ] = None,
    client_id: Annotated[str | None, Form(description="Id of the API client; with `client_credentials`.")] = None,
    client_secret: Annotated[str | None, Form(description="Its secret; with `client_credentials`.")] = None,
) -> Response:
    """Log in, refresh, or get a token for an API client (RFC 6749 §4.3, §6, §4.4).

    An API client sends its id and secret as `client_id` and `client_secret`, or as HTTP Basic; 401 `invalid-client`
    if they are wrong. It gets no refresh token; it requests a new token before `expires_in`.

    Each refresh token can be used once. If it is used twice, even at the same time, its whole session ends. After 10 failed
    log-ins under one name from one address within 15 minutes the name is locked there for 15 minutes, whether or not it is an
    account: 429 `account-locked` with Retry-After; a new password from an administrator unlocks it. Errors are problems with
    `error` and `error_description`. At most 10 requests a minute for an account and 60 from an address, of which refreshes count
    only if they are refused: 429 with Retry-After.
    """
    runtime: Runtime = request.app.state.runtime
    address = _address(request, settings_of(runtime))
    whence = From(address, request.headers.get("user-agent"))
    match grant_type:
        case "password":
            if not username or not password:
                raise invalid_request("The password grant takes username and password.")
            tokens = await by_password(runtime, whence, username, password)
        case "refresh_token":
            if not refresh_token:
                raise invalid_request("The refresh_token grant takes refresh_token.")
            tokens = await by_refresh(runtime, whence, refresh_token)
        case "client_credentials":
            tokens = await by_client(runtime, address, *_client(request, client_id, client_secret))
        case None | "":
            raise invalid_request("grant_type is missing; send a form (application/x-www-form-urlencoded).")
        case _:
            allowed = "Send password, refresh_token or client_credentials as grant_type."
            raise Refused("invalid-request", "unsupported_grant_type", allowed)
    return Response(to_json(_shown(tokens)), media_type="application/json")


def _shown(tokens: Tokens) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
    }
    if (link := tokens.link) is None:
        return shown
    left = max(0, int((link.expires_at - clock.now()).total_seconds()))
    return {**shown, "refresh_token": link.token, "refresh_expires_in": left, "session_id": str(link.session_id)}


def _client(request: Request, client_id: str | None, client_secret: str | None) -> tuple[str, str]:
    """The client's id and secret, from the header or the form, never from both (RFC 6749 §2.3.1)."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        if not client_id or not client_secret:
            raise invalid_request("The client_credentials grant takes client_id and client_secret, or HTTP Basic.")
        return client_id, client_secret
    if client_secret is not None:
        raise invalid_request("Send the client's secret once: as HTTP Basic or in the form.")
    try:
        basic_id, colon, basic_secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise invalid_client() from None
    if not colon or (client_id is not None and client_id != unquote_plus(basic_id)):
        raise invalid_client()
    return unquote_plus(basic_id), unquote_plus(basic_secret)


@public.post("/revoke", status_code=200, response_class=Response, operation_id="revoke_token")
async def revoke_token(
    request: Request,
    token: Annotated[str | None, Form(description="A refresh token; its session ends.")] = None,
    token_type_hint: Annotated[str | None, Form(description="`refresh_token`, or left out.")] = None,
) -> Response:
    """Log out (RFC 7009): end the session of a refresh token. An unknown token is also 200.

    Access tokens cannot be revoked individually; they are valid for ten minutes.
    """
    runtime: Runtime = request.app.state.runtime
    settings = settings_of(runtime)
    if not token:
        raise invalid_request("token is missing; send a form (application/x-www-form-urlencoded).")
    if token.count(".") == 2:  # an access token, whatever token_type_hint says
        raise Refused("invalid-request", "unsupported_token_type", "Send a refresh token: no other can be revoked.")
    async with runtime.db.autocommit() as conn:
        address = _address(request, settings)
        await take(conn, {address_key(address): settings.tokens_per_address}, clock.now())
        await end_session_of(conn, token, clock.now())
    return Response(status_code=200)


@keys.get("/jwks", response_model=KeySet, operation_id="list_keys")
async def list_keys(request: Request) -> Response:
    """The public keys that access tokens are signed with (RFC 7517)."""
    published = await key_ring(request.app.state.runtime).published()
    headers = {"cache-control": "public, max-age=60"}
    return Response(to_json({"keys": published}), headers=headers, media_type="application/json")


@private.get("/me", response_model=MeRead, operation_id="get_me")
async def get_me(uow: Uow) -> Response:
    """Who you are and what you may do."""
    headers = {"cache-control": "private, no-cache", "vary": "Authorization"}
    return Response(to_json(await commands.describe_caller(uow)), headers=headers, media_type="application/json")


@private.post("/password", status_code=204, operation_id="change_password")
async def change_password(body: PasswordChange, uow: Uow) -> Response:
    """Change your password. All your sessions and tokens end, this one too: log in again.

    422 `wrong-password` if the current one is wrong; at most 10 tries a minute.
    """
    await commands.change_own_password(uow, body)
    return Response(status_code=204)


def _address(request: Request, settings: IdentitySettings) -> str:
    peer = request.client.host if request.client else "unknown"
    return client_address(peer, request.headers.getlist("x-forwarded-for"), settings.proxies)
