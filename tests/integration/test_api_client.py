"""Another system logs in as an API client, works through the gateway, owns records, and is deactivated."""

import asyncio
import secrets
from typing import Any

import aiohttp

from crm_identity.security_role.domain import DEFAULT_ROLES
from crm_kit.clock import monotonic
from crm_kit.testing.figures import Figures
from tests.integration.suite import Person, Suite

SALESPERSON = str(next(role.id for role in DEFAULT_ROLES if role.name == "Salesperson"))


async def granted(suite: Suite, client_id: str, secret: str) -> dict[str, Any]:
    """Return the token endpoint's answer to HTTP Basic, which most libraries use."""
    form = {"grant_type": "client_credentials"}
    basic = {"Authorization": aiohttp.encode_basic_auth(client_id, secret)}
    async with (
        aiohttp.ClientSession(suite.gateway) as session,
        session.post("/api/v1/auth/token", data=form, headers=basic) as answer,
    ):
        found: dict[str, Any] = await answer.json(content_type=None)
        return {"status": answer.status, **found}


async def test_a_program_works_under_its_own_name_until_it_may_no_more(
    suite: Suite, administrator: Person, figures: Figures
) -> None:
    name = f"Data warehouse {secrets.token_hex(4)}"
    made = await administrator.send("POST", "/api-clients", {"name": name, "role_ids": [SALESPERSON]}, status=201)
    path, known = f"/api-clients/{made['id']}", administrator.after
    assert known == f"api_client/{made['id']}@1"
    token = await granted(suite, made["id"], made["secret"])
    assert (token["status"], "refresh_token" in token) == (200, False)

    async with aiohttp.ClientSession(
        suite.gateway, headers={"Authorization": f"Bearer {token['access_token']}"}
    ) as own:
        program = Person(own, known)
        lead = await program.send("POST", "/leads", {"topic": "Gold card", "last_name": "Lovelace"}, status=201)
        owner = {"owner_type": "client", "owner_id": made["id"]}
        assert {field: lead[field] for field in (*owner, "owner_name", "created_by")} == {
            **owner,
            "owner_name": name,
            "created_by": made["id"],
        }
        timeline = await program.send("GET", f"/timeline?regarding={lead['id']}")
        assert [item["actor"] for item in timeline["items"]] == [f"client:{made['id']}"]

        other = await administrator.send("POST", "/leads", {"topic": "Silver card", "last_name": "Byron"}, status=201)
        administrator.after = known
        given = await administrator.send("POST", f"/leads/{other['id']}/assign", owner)
        assert (given["owner_type"], given["owner_name"]) == ("client", name)

        await administrator.send("POST", f"{path}/deactivate", {"reason": "Contract ended"})
        off, began = administrator.after.split(", ")[0], monotonic()
        async with asyncio.timeout(120):
            while (await status_of(own)) != 401:  # noqa: ASYNC110  # nothing tells that every process has heard
                await asyncio.sleep(0.01)
        took = monotonic() - began
    figures(shut_out_after=took)
    assert (await granted(suite, made["id"], made["secret"]))["error"] == "invalid_client"

    third = await administrator.send("POST", "/leads", {"topic": "Card", "last_name": "Babbage"}, status=201)
    administrator.after = off
    refused = await administrator.send("POST", f"/leads/{third['id']}/assign", owner, status=422)
    assert refused["type"] == "/problems/inactive-reference"

    rotated = await administrator.send("POST", f"{path}/rotate-secret")
    await administrator.send("POST", f"{path}/activate")
    assert (await granted(suite, made["id"], made["secret"]))["status"] == 401
    assert (await granted(suite, made["id"], rotated["secret"]))["status"] == 200


async def status_of(session: aiohttp.ClientSession) -> int:
    async with session.get("/api/v1/leads?limit=1") as answer:
        await answer.read()
        return answer.status
