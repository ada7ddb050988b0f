"""Replaces identity in tests: it serves the public part of a signing key over HTTP, and issues tokens as identity does."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import orjson

from crm_contracts.access import AUDIENCE
from crm_kit import clock
from crm_kit.access.privileges import Principal
from crm_kit.access.signing import SigningKey
from crm_kit.access.tokens import ISSUER

TOKEN_SECONDS = 600


class Issuer:
    """Signs tokens with a key that services of any process fetch from ``jwks_url``."""

    def __init__(self, jwks_url: str, key: SigningKey) -> None:
        self.jwks_url, self.key = jwks_url, key

    def token(self, caller: Principal, **changed: object) -> str:
        """Return an access token for this caller. ``changed`` replaces claims, and None removes one."""
        now = clock.now().timestamp()
        claims: dict[str, object] = {
            "sub": str(caller.id),
            "kind": caller.kind,
            "teams": [str(team) for team in caller.teams],
            "bu": str(caller.unit),
            "prv": dict(caller.privileges),
            "iat": now,
            "exp": int(now) + TOKEN_SECONDS,
            "aud": AUDIENCE,
            "iss": ISSUER,
            "jti": secrets.token_urlsafe(8),
        }
        return self.key.sign({name: value for name, value in (claims | changed).items() if value is not None})


@contextmanager
def serve_keys() -> Iterator[Issuer]:
    """Yield an issuer whose keys are served on a free loopback port, in a thread, so that a blocked loop does not stop it."""
    key = SigningKey.generate()
    body = orjson.dumps({"keys": [key.jwk]})

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Do not log requests for keys."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Keys) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Issuer(f"http://127.0.0.1:{server.server_port}/jwks", key)
        finally:
            server.shutdown()
            thread.join()
