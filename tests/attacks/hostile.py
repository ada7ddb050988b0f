"""Hostile or careless clients, one for each kind. Each strikes once when called and returns the result.

A strike returns a status, or None if the connection was closed or refused, which counts as an answer.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from uuid import uuid4

import aiohttp

from tests.attacks.people import Cast

Strike = Callable[[Cast], Awaitable[int | None]]

MANY = 90_000
UNKNOWN_KEYS = json.dumps({f"k{n}": 1 for n in range(MANY)}, separators=(",", ":")).encode()
LINES = json.dumps({"name": "Deal", "lines": [{"foo": 1}] * MANY}, separators=(",", ":")).encode()
JSON = {"Content-Type": "application/json"}
LONG_LINE = b'{"topic":"one","last_name":"One"}\n{"topic":"' + b"x" * 8_000_000 + b'"}\n'
PATTERN = "ab" * 1_000
SAME_NAMES = "topic,last_name\n" + "".join(f"Offer {n},Miller\n" for n in range(300))


async def _at_once(times: int, ask: Callable[[], Awaitable[tuple[int, bytes]]]) -> int:
    """Return the highest status of this many concurrent requests."""
    return max(status for status, _ in await asyncio.gather(*(ask() for _ in range(times))))


async def unknown_keys(cast: Cast) -> int | None:
    status, _ = await cast.roleless.ask("POST", "/cases", data=UNKNOWN_KEYS, headers=JSON)
    return status


async def many_lines(cast: Cast) -> int | None:
    status, _ = await cast.careless.ask("POST", "/opportunities", data=LINES, headers=JSON)
    return status


async def deep_json(cast: Cast) -> int | None:
    status, _ = await cast.careless.ask("POST", "/leads", data=b"[" * 500_000, headers=JSON)
    return status


async def awaiting_what_never_comes(cast: Cast) -> int | None:
    ask = cast.careless.ask
    return await _at_once(8, lambda: ask("GET", "/tasks", headers={"Crm-After": f"lead/{uuid4()}@1"}))


async def customer_awaiting_what_never_comes(cast: Cast) -> int | None:
    path, ask = f"/customers/{cast.account}/360", cast.careless.ask
    return await _at_once(4, lambda: ask("GET", path, headers={"Crm-After": f"lead/{uuid4()}@1"}))


async def slow_pattern(cast: Cast) -> int | None:
    status, _ = await cast.careless.ask("GET", f"/leads?count=exact&topic[contains]={PATTERN}")
    return status


async def many_terms(cast: Cast) -> int | None:
    terms = [{"field": "topic", "op": "contains", "value": "ab" * 90}] * 50
    body = {"filter": {"any": terms}, "count": "exact"}
    return await _at_once(6, lambda: cast.careless.ask("POST", "/leads/query", json=body))


async def scan_of_duplicates(cast: Cast) -> int | None:
    return await _at_once(10, lambda: cast.careless.ask("GET", "/leads/duplicates?limit=200"))


async def long_line(cast: Cast) -> int | None:
    return await _upload(cast, LONG_LINE, "leads.ndjson")


async def strange_header(cast: Cast) -> int | None:
    columns = {"x" * 201: "email", "a\x00b": "topic"}
    text = ",".join([*columns, "last_name"]) + "\nada@example.org,Offer,Lovelace\n"
    return await _upload(cast, text.encode(), "leads.csv", {**columns, "last_name": "last_name"})


async def same_names(cast: Cast) -> int | None:
    return await _upload(cast, SAME_NAMES.encode(), "leads.csv", duplicates="report")


async def _upload(
    cast: Cast, content: bytes, name: str, mapping: Mapping[str, str] | None = None, duplicates: str = "allow"
) -> int:
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name, content_type="application/octet-stream")
    form.add_field("duplicates", duplicates)
    if mapping:
        form.add_field("mapping", json.dumps(mapping))
    status, _ = await cast.importer.ask("POST", "/leads/import", data=form)
    return status


async def trickling_upload(cast: Cast) -> int | None:
    """Announce a file and send almost nothing of it."""
    token = await cast.importer.token()
    head = (
        f"POST /api/v1/leads/import HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000000\r\n\r\n--b\r\n"
    )
    return await _raw(cast, [head.encode(), *[b"x"] * 5], pause=0.5)


async def endless_head(cast: Cast) -> int | None:
    line = b"X-Junk: " + b"j" * 8_000 + b"\r\n"
    return await _raw(cast, [b"GET /api/v1/leads HTTP/1.1\r\nHost: x\r\n", *[line] * 1_000])


async def unfinished_heads(cast: Cast) -> int | None:
    """Open twenty connections that never finish their heads, until the gateway closes them, for at most three seconds."""
    head = [b"GET /api/v1/leads HTTP/1.1\r\n", *[b"X: y\r\n"] * 3]
    found = await asyncio.gather(*(_raw(cast, head, pause=1.0) for _ in range(20)))
    return next((status for status in found if status is not None), None)


async def hanging_up(cast: Cast) -> int | None:
    """Request a large answer and close the connection before it arrives."""
    head = f"GET /api/v1/leads?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: {await cast.careless.token()}\r\n\r\n"
    return await _raw(cast, [head.encode()], wait=0.0)


async def _raw(cast: Cast, pieces: list[bytes], *, pause: float = 0.0, wait: float = 3.0) -> int | None:
    try:
        reader, writer = await asyncio.open_connection(*cast.address, local_addr=(cast.stranger.address, 0))
    except OSError:
        return None
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if pause:
                # The attack consists of this pause.
                await asyncio.sleep(pause)
        async with asyncio.timeout(wait):
            line = await reader.readline()
        return int(line.split()[1]) if line else None
    except (OSError, TimeoutError):
        return None
    finally:
        writer.close()


async def forged_token(cast: Cast) -> int | None:
    token = "Bearer " + ".".join(secrets.token_urlsafe(n) for n in (24, 200, 64))
    async with cast.stranger.session.get("/api/v1/leads", headers={"Authorization": token}) as answer:
        return answer.status


async def guessing_passwords(cast: Cast) -> int | None:
    form = {"grant_type": "password", "username": f"{secrets.token_hex(4)}@example.org", "password": "guess"}
    async with cast.stranger.session.post("/api/v1/auth/token", data=form) as answer:
        return answer.status


async def foreign_ids(cast: Cast) -> int | None:
    status, _ = await cast.careless.ask("PATCH", f"/accounts/{uuid4()}", json={}, headers={"If-Match": "*"})
    return status


async def same_record_at_once(cast: Cast) -> int | None:
    """Send eight changes of a record that another user works with."""
    body = {"description": secrets.token_hex(8)}
    tries = [cast.careless.ask("PATCH", f"/leads/{cast.lead}", json=body, headers={"If-Match": "*"}) for _ in range(8)]
    return max(status for status, _ in await asyncio.gather(*tries))


async def one_key_at_once(cast: Cast) -> int | None:
    """Send eight creates with one key."""
    headers, body = {"Idempotency-Key": secrets.token_hex(8)}, {"topic": "Twice", "last_name": "Twin"}
    return await _at_once(8, lambda: cast.careless.ask("POST", "/leads", json=body, headers=headers))


HOSTILES: Mapping[str, Strike] = {
    strike.__name__: strike
    for strike in (
        unknown_keys,
        many_lines,
        deep_json,
        awaiting_what_never_comes,
        customer_awaiting_what_never_comes,
        slow_pattern,
        many_terms,
        scan_of_duplicates,
        long_line,
        strange_header,
        same_names,
        trickling_upload,
        endless_head,
        unfinished_heads,
        hanging_up,
        forged_token,
        guessing_passwords,
        foreign_ids,
        same_record_at_once,
        one_key_at_once,
    )
}
