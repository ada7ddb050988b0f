"""What a token must survive, and what it must not."""

import base64
import hmac
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from functools import partial
from hashlib import sha256
from types import FrameType
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from crm_kit import clock
from crm_kit.access.directory import Directory
from crm_kit.access.privileges import Depth, Privilege
from crm_kit.access.tokens import (
    FETCH_AT_MOST_EVERY_SECONDS,
    InvalidToken,
    TokenVerifier,
    bearer,
    http_keys,
)
from crm_kit.store.database import Database

from .signer import Signer

MOST_CALLS = 20
"""Of functions, for a token that is remembered: the hash, the look into a table, the clock, and whether it still counts."""


class Source:
    """Identity's key set, with a count of how often it was asked."""

    def __init__(self, *signers: Signer) -> None:
        self.keys: list[dict[str, Any]] = [signer.key.jwk for signer in signers]
        self.down = False
        self.asked = 0

    async def __call__(self) -> Sequence[dict[str, Any]]:
        self.asked += 1
        if self.down:
            raise ConnectionRefusedError
        return self.keys


@pytest.fixture
async def source(signer: Signer) -> Source:
    return Source(signer)


@pytest.fixture
async def verifier(directory: Directory, db: Database, source: Source) -> AsyncIterator[TokenVerifier]:
    verifier = TokenVerifier(directory, db, source)
    await verifier.start()
    yield verifier
    await verifier.stop()


async def refusal(verifier: TokenVerifier, token: str) -> str:
    with pytest.raises(InvalidToken) as refused:
        await verifier.verify(token)
    assert verifier.cached(token) is None
    return refused.value.slug


def segment(value: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).rstrip(b"=").decode()


def header(signer: Signer, algorithm: str) -> str:
    return segment({"alg": algorithm, "kid": signer.key.kid, "typ": "at+jwt"})


def unsigned(signer: Signer, algorithm: str) -> str:
    return f"{header(signer, algorithm)}.{segment(signer.claims())}."


def hs256_with_public_key(signer: Signer, encoding: Encoding, form: PublicFormat) -> str:
    secret = signer.key.private.public_key().public_bytes(encoding, form)
    signed = f"{header(signer, 'HS256')}.{segment(signer.claims())}"
    mac = hmac.new(secret, signed.encode(), sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def with_other_rights(signer: Signer) -> str:
    head, _, signature = signer.token().split(".")
    return f"{head}.{segment(signer.claims(prv={'lead': '44444'}))}.{signature}"


def with_embedded_key(signer: Signer) -> str:
    attacker = signer.other(kid=signer.key.kid)
    return attacker.token({"jwk": attacker.key.jwk})


def without(claim: str, signer: Signer) -> str:
    return signer.token(**{claim: None})


CLAIMS = ("sub", "kind", "teams", "bu", "prv", "iat", "exp", "aud", "iss", "jti")

FORGED: dict[str, Callable[[Signer], str]] = {
    "alg none": lambda s: unsigned(s, "none"),
    "alg nOnE": lambda s: unsigned(s, "nOnE"),
    "alg EdDSA without a signature": lambda s: unsigned(s, "EdDSA"),
    "HS256 with the public key as PEM": lambda s: hs256_with_public_key(
        s, Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    ),
    "HS256 with the raw public key": lambda s: hs256_with_public_key(s, Encoding.Raw, PublicFormat.Raw),
    "tampered claims": with_other_rights,
    "tampered signature": lambda s: s.token()[:-6] + "AAAAAA",
    "another key under our kid": lambda s: s.other(kid=s.key.kid).token(),
    "unknown kid": lambda s: s.renamed("stranger").token(),
    "no kid": lambda s: s.token({"kid": ""}),
    "embedded jwk": with_embedded_key,
    "jku": lambda s: s.token({"jku": "https://example.org/keys"}),
    "x5u": lambda s: s.token({"x5u": "https://example.org/cert"}),
    "crit": lambda s: s.token({"crit": ["exp"]}),
    "another type of JWT": lambda s: s.token({"typ": "JWT"}),
    "wrong audience": lambda s: s.token(aud="billing"),
    "audiences": lambda s: s.token(aud=["crm", "billing"]),
    "wrong issuer": lambda s: s.token(iss="https://example.org"),
    "issued in the future": lambda s: s.token(iat=clock.now().timestamp() + 30, exp=int(clock.now().timestamp()) + 60),
    "not before the future": lambda s: s.token(nbf=int(clock.now().timestamp()) + 30),
    "a life longer than revocations are remembered": lambda s: s.token(exp=int(clock.now().timestamp()) + 3600),
    "rights that are not digits": lambda s: s.token(prv={"lead": "99999"}),
    "a strange kind": lambda s: s.token(kind="system"),
    "not a token": lambda _: "a.b.c",
    "nothing": lambda _: "",
    "not ASCII": lambda s: s.token() + "é",
    "endless": lambda s: s.token() + "A" * 10_000,
    **{f"no {claim}": partial(without, claim) for claim in CLAIMS},
}


async def test_a_good_token_tells_who_calls(verifier: TokenVerifier, signer: Signer) -> None:
    user = uuid4()
    issued = clock.now().timestamp()
    token = signer.token(sub=str(user), iat=issued)
    principal = await verifier.verify(token)
    assert (principal.id, principal.kind, principal.unit, principal.issued_at) == (user, "user", UUID(int=9), issued)
    assert principal.teams == (UUID(int=7),)
    assert principal.depth("lead", Privilege.READ) is Depth.ORGANIZATION
    assert principal.depth("lead", Privilege.ASSIGN) is Depth.USER
    assert principal.depth("case", Privilege.READ) is Depth.NONE
    assert verifier.cached(token) is principal


@pytest.mark.parametrize("kind", FORGED)
async def test_a_forged_token_is_invalid(verifier: TokenVerifier, signer: Signer, kind: str) -> None:
    assert await refusal(verifier, FORGED[kind](signer)) == "token-invalid"


async def test_an_expired_token_is_expired(verifier: TokenVerifier, signer: Signer) -> None:
    now = clock.now().timestamp()
    assert await refusal(verifier, signer.token(iat=now - 601, exp=int(now) - 1)) == "token-expired"


async def test_a_remembered_token_expires_too(
    verifier: TokenVerifier, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = signer.token()
    await verifier.verify(token)
    monkeypatch.setattr(clock, "_OFFSET", timedelta(seconds=601))
    assert verifier.cached(token) is None
    assert await refusal(verifier, token) == "token-expired"


async def test_a_superseded_token_is_refused_even_when_remembered(
    verifier: TokenVerifier, signer: Signer, directory: Directory, db: Database
) -> None:
    user = uuid4()
    token = signer.token(sub=str(user))
    await verifier.verify(token)
    async with db.begin() as conn:
        await conn.exec_driver_sql("insert into revocation values ($1, $2)", (user, clock.now()))
        await conn.exec_driver_sql("insert into access_state values (1, 1)")
    await directory.refresh()
    assert await refusal(verifier, token) == "token-superseded"
    assert (await verifier.verify(signer.token(sub=str(user)))).id == user


async def test_unknown_keys_make_at_most_one_fetch_in_five_seconds(
    verifier: TokenVerifier, source: Source, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = clock.monotonic
    later = real() + FETCH_AT_MOST_EVERY_SECONDS + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    before = source.asked
    for _ in range(20):
        await refusal(verifier, signer.renamed("stranger").token())
    assert source.asked == before + 1


async def test_a_new_key_is_fetched_and_a_withdrawn_one_forgotten(
    verifier: TokenVerifier, source: Source, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = signer.token()
    await verifier.verify(old)
    successor = signer.other()
    source.keys = [successor.key.jwk]
    later = clock.monotonic() + FETCH_AT_MOST_EVERY_SECONDS + 1
    monkeypatch.setattr(clock, "monotonic", lambda: later)
    await verifier.verify(successor.token())
    assert await refusal(verifier, old) == "token-invalid"


async def test_a_cold_start_works_with_identity_down(
    verifier: TokenVerifier, source: Source, signer: Signer, directory: Directory, db: Database
) -> None:
    assert verifier.ready
    source.down = True
    restarted = TokenVerifier(directory, db, source)
    await restarted.start()
    assert (await restarted.verify(signer.token())).kind == "user"
    await restarted.stop()


async def test_without_any_key_tokens_are_refused(directory: Directory, db: Database, signer: Signer) -> None:
    source = Source(signer)
    source.down = True
    alone = TokenVerifier(directory, db, source)
    await alone.start()
    assert not alone.ready
    assert await refusal(alone, signer.token()) == "token-invalid"
    await alone.stop()


async def test_keys_come_over_http(signer: Signer) -> None:
    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [signer.key.jwk]})

    async def broken(_: web.Request) -> web.Response:
        return web.Response(text="[]")

    app = web.Application()
    app.router.add_get("/jwks", keys)
    app.router.add_get("/broken", broken)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = "http://{}:{}".format(*runner.addresses[0])
    assert await http_keys(f"{address}/jwks")() == [signer.key.jwk]
    with pytest.raises(ValueError, match="not a JWK set"):
        await http_keys(f"{address}/broken")()
    await runner.cleanup()


async def test_a_remembered_token_costs_little_more_than_its_hash(verifier: TokenVerifier, signer: Signer) -> None:
    token = signer.token(prv={f"entity_{n}": "44321" for n in range(40)})
    await verifier.verify(token)
    calls: list[str] = []

    def count(frame: FrameType, event: str, function: Any) -> None:
        if event in ("call", "c_call"):
            calls.append(function.__name__ if event == "c_call" else frame.f_code.co_name)

    sys.setprofile(count)
    try:
        found = verifier.cached(token)
    finally:
        sys.setprofile(None)
    assert found is not None
    # Calls instead of time, which a busy machine decides on; nothing of them grows with the token's rights.
    assert len(calls) <= MOST_CALLS, calls


@pytest.mark.parametrize("value", [None, "", "Basic abc", "Bearer", "Bearer  ", "abc"])
def test_a_request_without_a_bearer_token_says_so(value: str | None) -> None:
    with pytest.raises(InvalidToken) as refused:
        bearer(value)
    assert refused.value.slug == "token-missing"


def test_the_scheme_is_case_insensitive() -> None:
    assert bearer("bearer abc") == "abc"
