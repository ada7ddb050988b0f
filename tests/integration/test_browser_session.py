"""A page logs in by cookie, works with the whole suite, and is logged out by an administrator."""

import asyncio
from uuid import uuid4

import aiohttp

from tests.integration.suite import PATIENCE_SECONDS, Person, Suite
from tests.integration.test_removal import PASSWORD, hired

OWN = {"sec-fetch-site": "same-origin", "crm-csrf": "1"}


async def test_a_page_works_by_cookie_until_an_administrator_ends_its_session(
    suite: Suite, administrator: Person
) -> None:
    roles = await administrator.send("GET", "/security-roles?name=Salesperson")
    user = await hired(administrator, email=f"{uuid4().hex}@example.org", role_ids=[roles["items"][0]["id"]])
    api = f"{suite.gateway}/api/v1"
    # The cookies of an address without a name.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=OWN) as page:
        credentials = {"email": user["email"], "password": PASSWORD}
        async with page.post(f"{api}/session", json=credentials) as answer:
            assert answer.status == 201, await answer.text()
            session = await answer.json()
        assert session["user"]["id"] == user["id"]
        async with page.post(f"{api}/leads", json={"last_name": "Lovelace", "topic": "Card"}) as answer:
            assert answer.status == 201, await answer.text()
            lead = await answer.json()
        assert lead["owner_id"] == user["id"]

        # A new password ends every session.
        await administrator.send("POST", f"/users/{user['id']}/reset-password", {"password": PASSWORD[::-1]})
        ends_by = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            async with page.get(f"{api}/leads/{lead['id']}") as answer:
                if answer.status == 401:
                    assert (await answer.json())["type"] in ("/problems/session-ended", "/problems/token-superseded")
                    break
            assert asyncio.get_running_loop().time() < ends_by

        async with page.post(f"{api}/session", json={**credentials, "password": PASSWORD[::-1]}) as answer:
            session = await answer.json()
        # New rights need a new token. The gateway gets it, and the page stays logged in.
        await administrator.send("PATCH", f"/users/{user['id']}", {"role_ids": []}, headers={"if-match": "*"})
        ends_by = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            async with page.get(f"{api}/session") as answer:
                assert answer.status == 200, await answer.text()
                shown = await answer.json()
            if shown["user"]["privileges"] == {}:
                break
            assert asyncio.get_running_loop().time() < ends_by

        sessions = await administrator.send("GET", f"/auth/sessions?user_id={user['id']}")
        assert [one["id"] for one in sessions["items"]] == [session["id"]]
        await administrator.send("POST", f"/auth/sessions/{session['id']}/end", status=204)
        ends_by = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            async with page.get(f"{api}/session") as answer:
                if answer.status == 401:
                    assert (await answer.json())["type"] == "/problems/session-ended"
                    break
            assert asyncio.get_running_loop().time() < ends_by
