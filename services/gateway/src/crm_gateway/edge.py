"""The entry point of each request, as pure ASGI: CORS, authentication, rate limit and routing."""

from collections.abc import Hashable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_contracts.sentences import said
from crm_gateway.codings import Codings
from crm_gateway.cors import Cors
from crm_gateway.limits import Limiter
from crm_gateway.proxy.breaker import Unavailable
from crm_gateway.proxy.passthrough import Visit, pass_through
from crm_gateway.proxy.upstream import Upstreams
from crm_gateway.routes import PREFIX, SESSION, is_public, is_transfer, route_of, upstream_of
from crm_gateway.session.cookies import Site
from crm_gateway.session.granting import Whence
from crm_gateway.session.keeping import EARLY, EARLY_FOR_TRANSFERS, SessionEnded, Sessions
from crm_gateway.settings import GatewaySettings
from crm_kit.access.tokens import TokenVerifier, bearer
from crm_kit.http.failures import domain_error, trace_id
from crm_kit.http.problems import problem
from crm_kit.http.web import unforeseen
from crm_kit.http.web_figures import ROUTE
from crm_kit.network.addresses import client_address, is_one_of
from crm_kit.process.runtime import Runtime

Headers = list[tuple[bytes, bytes]]


def edge(app: ASGIApp, settings: GatewaySettings) -> ASGIApp:
    """Return the entry point of the app, whose answers are coded as callers accept."""
    return Codings(Edge(app, settings))


class Edge:
    """Admits a request to the API, then passes it to the service that owns its path, or to the gateway's own routes."""

    def __init__(self, app: ASGIApp, settings: GatewaySettings) -> None:
        self._app, self._settings = app, settings
        self._proxies = settings.proxies
        self._cors = Cors(settings.origins)
        self._limiter = Limiter(settings.requests_per_second, settings.request_burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        added = self._cors.headers(headers)
        try:
            if (preflight := self._cors.preflight(scope["method"], headers)) is not None:
                await preflight(scope, receive, send)
                return
            if await self._passed_on(headers, added, scope, receive, send):
                return
        except Exception as error:  # noqa: BLE001 - the last answer to what nobody foresaw; it is logged there
            told = domain_error(error)
            if told is None:
                answer = await unforeseen(Request(scope), error)
            else:
                answer = problem(told, scope["path"], trace_id(scope["crm.cause"]))
        else:
            await self._app(scope, receive, _with_headers(send, added) if added else send)
            return
        answer.raw_headers += added
        await answer(scope, receive, send)

    async def _passed_on(
        self, headers: dict[bytes, bytes], added: Headers, scope: Scope, receive: Receive, send: Send
    ) -> bool:
        """Whether the request belongs to a service and was answered. Raises only before an answer has started."""
        path: str = scope["path"]
        if not path.startswith(PREFIX):
            return False
        scope[ROUTE] = route_of(path)
        address = self._address(scope)
        runtime: Runtime = scope["app"].state.runtime
        caller = await self._admit(runtime.tokens, headers, address, added, scope)
        if (owner := upstream_of(path)) is None:
            return False
        upstreams: Upstreams = scope["app"].state.upstreams
        upstream = upstreams.get(owner)
        if upstream is None:
            raise Unavailable(said("The service '{service}' is not part of this installation.", service=owner))
        cause = scope["crm.cause"]
        if cause.traceparent:
            added.append((b"traceparent", cause.traceparent.encode()))
        await pass_through(
            upstream,
            self._settings,
            Visit(headers, address, caller, added, scope.get("crm.renew")),
            scope,
            receive,
            send,
        )
        return True

    async def _admit(
        self, tokens: TokenVerifier, headers: dict[bytes, bytes], address: str, added: Headers, scope: Scope
    ) -> Hashable:
        """Return the caller: the principal, or the address where no token is needed. Raises 401, 403 or 429.

        Verifying an unknown token takes time, so such requests are counted by address. A cookie counts where there is no token.
        """
        path: str = scope["path"]
        if path == SESSION:
            self._count(address, added)
            site = scope["crm.site"] = self._site(headers, scope)
            site.refuse_others(scope["method"])
            scope["crm.whence"] = _whence(headers, address, scope)
            return address
        if is_public(path):
            self._count(address, added)
            return address
        if b"cookie" in headers and b"authorization" not in headers:
            site = self._site(headers, scope)
            if (secret := site.secret) is not None:
                return await self._admit_session(site, secret, headers, address, added, scope)
        token = bearer(headers.get(b"authorization", b"").decode("latin-1"))
        principal = tokens.cached(token)
        if principal is None:
            left = self._limiter.take(address)
            if left < 0:
                raise self._limiter.refusal(left)
            principal = await tokens.verify(token)
        self._count(principal.id, added)
        return principal.id

    async def _admit_session(
        self, site: Site, secret: str, headers: dict[bytes, bytes], address: str, added: Headers, scope: Scope
    ) -> Hashable:
        """Admit a request of a page, and give it the access token of its session."""
        site.refuse_others(scope["method"])
        sessions: Sessions = scope["app"].state.sessions
        if not sessions.is_held(secret):
            left = self._limiter.take(address)
            if left < 0:
                raise self._limiter.refusal(left)
        whence = _whence(headers, address, scope)

        async def renew() -> str:
            try:
                return (await sessions.renew(secret, held, whence)).access_token
            except SessionEnded:
                added.append((b"set-cookie", site.forget()))
                raise

        scope["crm.renew"] = renew
        try:
            least = EARLY_FOR_TRANSFERS if is_transfer(scope["method"], scope["path"]) else EARLY
            held, principal = await sessions.caller(secret, whence, least)
        except SessionEnded:
            added.append((b"set-cookie", site.forget()))
            raise
        sent = (b"authorization", b"Bearer " + held.access_token.encode())
        headers[sent[0]] = sent[1]
        scope["headers"] = [*scope["headers"], sent]
        self._count(principal.id, added)
        return principal.id

    def _site(self, headers: dict[bytes, bytes], scope: Scope) -> Site:
        peer = scope["client"][0] if scope["client"] else "unknown"
        return Site(self._settings, scope["scheme"], headers, by_proxy=is_one_of(peer, tuple(self._proxies)))

    def _count(self, caller: object, added: Headers) -> None:
        left = self._limiter.take(caller)
        added += self._limiter.headers(left)
        if left < 0:
            raise self._limiter.refusal(left)

    def _address(self, scope: Scope) -> str:
        peer = scope["client"][0] if scope["client"] else "unknown"
        if not self._proxies:
            return peer
        forwarded = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        return client_address(peer, forwarded, self._proxies)


def _whence(headers: dict[bytes, bytes], address: str, scope: Scope) -> Whence:
    agent, language = (headers.get(name, b"").decode("latin-1") for name in (b"user-agent", b"accept-language"))
    return Whence(address, agent, language, scope["crm.cause"])


def _with_headers(send: Send, added: Sequence[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in added:
                headers.append(name.decode(), value.decode("latin-1"))
        await send(message)

    return send_with_headers
