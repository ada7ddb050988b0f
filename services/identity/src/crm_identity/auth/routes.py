"""The HTTP face of authentication: OAuth 2.0 tokens and what belongs to them."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from crm_identity.auth import commands
from crm_identity.auth.grants import Refused, Tokens, by_password, by_refresh, invalid_request
from crm_identity.auth.issue import key_ring
from crm_identity.auth.schemas import KeySet, MeRead, PasswordChange, TokenRead
from crm_identity.auth.sessions import end_session_of
from crm_identity.auth.throttle import address_key, take
from crm_identity.settings import IdentitySettings, settings_of
from crm_kit import clock
from crm_kit.addresses import client_address
from crm_kit.records.presenter import to_json
from crm_kit.requests import PublicRoute, Route, Uow
from crm_kit.runtime import Runtime

NEVER_STORED = {"cache-control": "no-store", "pragma": "no-cache"}


class TokenRoute(PublicRoute):
    """A route whose answers, errors too, must stay out of every cache (RFC 6749 §5.1)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def run(request: Request) -> Response:
            response = await handle(request)
            response.headers.update(NEVER_STORED)
            return response

        return run


public = APIRouter(prefix="/auth", tags=["authentication"], route_class=TokenRoute)
keys = APIRouter(prefix="/auth", tags=["authentication"], route_class=PublicRoute)
private = APIRouter(prefix="/auth", tags=["authentication"], route_class=Route)


@public.post("/token", response_model=TokenRead, operation_id="create_token")
async def create_token(
    request: Request,
    grant_type: Annotated[str | None, Form(description="`password` or `refresh_token`.")] = None,
    username: Annotated[str | None, Form(description="E-mail address; with `password`.")] = None,
    password: Annotated[str | None, Form(description="Password; with `password`.")] = None,
    refresh_token: Annotated[str | None, Form(description="The last one given; with `refresh_token`.")] = None,
) -> Response:
    """Log in or refresh (RFC 6749 §4.3, §6).

    Each refresh token is good once; used twice, its whole session ends. Errors are problems with `error` and
    `error_description`. At most 10 requests a minute for an account and 60 from an address: 429 with Retry-After.
    """
    runtime: Runtime = request.app.state.runtime
    address = _address(request, settings_of(runtime))
    match grant_type:
        case "password":
            if not username or not password:
                raise invalid_request("The password grant takes username and password.")
            tokens = await by_password(runtime, address, username, password)
        case "refresh_token":
            if not refresh_token:
                raise invalid_request("The refresh_token grant takes refresh_token.")
            tokens = await by_refresh(runtime, address, refresh_token)
        case None | "":
            raise invalid_request("grant_type is missing; send a form (application/x-www-form-urlencoded).")
        case _:
            raise Refused("invalid-request", "unsupported_grant_type", "grant_type is password or refresh_token.")
    return Response(to_json(_shown(tokens)), media_type="application/json")


def _shown(tokens: Tokens) -> dict[str, Any]:
    return {
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token,
    }


@public.post("/revoke", status_code=200, response_class=Response, operation_id="revoke_token")
async def revoke_token(
    request: Request,
    token: Annotated[str | None, Form(description="A refresh token; its session ends.")] = None,
    token_type_hint: Annotated[str | None, Form(description="`refresh_token`, or left out.")] = None,
) -> Response:
    """Log out (RFC 7009): end the session of a refresh token. A token nobody knows is 200 too.

    Access tokens are not revoked one by one; they live ten minutes.
    """
    runtime: Runtime = request.app.state.runtime
    settings = settings_of(runtime)
    if not token:
        raise invalid_request("token is missing; send a form (application/x-www-form-urlencoded).")
    if token.count(".") == 2:  # an access token, whatever token_type_hint says
        raise Refused("invalid-request", "unsupported_token_type", "Only refresh tokens can be revoked.")
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

    422 `wrong-password` when the current one is not right; at most 10 tries a minute.
    """
    await commands.change_own_password(uow, body)
    return Response(status_code=204)


def _address(request: Request, settings: IdentitySettings) -> str:
    peer = request.client.host if request.client else "unknown"
    return client_address(peer, request.headers.getlist("x-forwarded-for"), settings.proxies)
