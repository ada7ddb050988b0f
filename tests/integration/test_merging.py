"""Two contacts are merged: the result in sales, service and activities, through the gateway."""

from tests.integration.suite import Person


async def test_a_survivor_takes_over_deals_cases_and_tasks(administrator: Person) -> None:
    send = administrator.send
    made = [await send("POST", "/contacts", {"last_name": name}, status=201) for name in ("Lovelace", "King")]
    loser, survivor = (contact["id"] for contact in made)
    known = f"contact/{loser}@1, contact/{survivor}@1"
    customer = {"type": "contact", "id": loser}
    administrator.after = known
    deal = await send("POST", "/opportunities", {"name": "Gold card", "customer": customer}, status=201)
    administrator.after = known
    case = await send("POST", "/cases", {"title": "The bill is wrong", "customer": customer}, status=201)
    administrator.after = known
    task = await send("POST", "/tasks", {"subject": "Call back", "regarding": customer}, status=201)
    await send("POST", f"/contacts/{loser}/merge", {"into": survivor})
    # A step counts for Crm-After when it is done, so later reads see the moved cases and tasks.
    administrator.after = f"contact/{loser}@2"
    moved = await send("GET", f"/cases/{case['id']}")
    assert moved["customer"] == {"type": "contact", "id": survivor, "name": "King", "deleted": False}
    assert (await send("GET", f"/tasks/{task['id']}"))["regarding"]["id"] == survivor
    assert (await send("GET", f"/opportunities/{deal['id']}"))["customer"]["id"] == survivor
    gone = await send("GET", f"/customers/{loser}/360", status=410)
    assert (gone["type"], gone["survivor"]["id"]) == ("/problems/merged", survivor)
    view = await send("GET", f"/customers/{survivor}/360")
    assert [item["id"] for item in view["cases"]["items"]] == [case["id"]]
    titles = [item["title"] for item in view["timeline"]["items"]]
    assert "Contact merged" in titles
    assert "Call back" in titles
