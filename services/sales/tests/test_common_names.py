"""A name shared by thousands of records: the search ends, reports that there are more, and puts certain matches first."""

from collections.abc import Callable

import asyncpg
import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.store.record import new_id
from crm_kit.testing import principal
from crm_kit.testing.databases import ServiceDatabase
from crm_sales.duplicates import finding
from crm_sales.duplicates.known import COMPARED, SHOWN

from .journey import API, Sales
from .plans import Counting

ALIKE = 3 * COMPARED
MADE = """
insert into contact (id, version, owner_type, owner_id, business_unit_id, status, status_reason, number, first_name, last_name,
    full_name, email, tier, preferred_channel, do_not_email, do_not_phone, do_not_post, interests, created_at, modified_at)
select gen_random_uuid(), 1, 'user', $2::uuid, $2, 'active', 'active', 'M-' || n, 'Maria', 'Schmidt', 'Maria Schmidt',
    'maria.' || n || '@example.org', 'prospect', 'any', false, false, false, '[]', now() - n * interval '1 second', now()
from generate_series(1, $1::int) n
"""
MARIA = {"first_name": "Maria", "last_name": "Schmidt", "email": f"maria.{ALIKE}@example.org"}


@pytest.fixture
async def marias(database: ServiceDatabase) -> None:
    # A separate connection: those of the API have a shorter statement timeout.
    conn = await asyncpg.connect(database.url)
    await conn.execute(MADE, ALIKE, new_id())
    await conn.execute("analyze contact")
    await conn.close()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting("contact")
    monkeypatch.setattr(finding, "fetch", counting)
    return counting


@pytest.mark.usefixtures("marias")
async def test_a_name_of_thousands_is_compared_with_some_of_them(sales: Sales, counting: Counting) -> None:
    lead = await sales.make("leads", topic="Card", **MARIA)
    asked = await sales.client.post(f"{API}/contacts/duplicates", MARIA)
    answers = [
        await sales.client.post(f"{API}/contacts?duplicates=report", MARIA),
        await sales.client.post(f"{API}/leads/{lead['id']}/qualify", {"create_account": False}),
    ]
    assert asked.status == 200
    assert [(answer.status, answer.problem) for answer in answers] == [(409, "possible-duplicates")] * 2
    for answer in (asked, *answers):
        assert (len(answer.json["duplicates"]), answer.json["more"]) == (SHOWN, True)
        assert any("email" in found["reasons"] for found in answer.json["duplicates"][:2]), (
            "an equal address comes first"
        )
    assert len(counting.rows) == 3
    assert max(counting.rows) <= COMPARED + 2 < ALIKE
    detail = answers[1].json["detail"]
    assert f"contact M-{ALIKE} (the same e-mail address and a similar name)" in detail
    assert "or one of at least 17 more" in detail
    assert "send allow_duplicates: true to go on" in detail


async def test_the_message_names_what_was_found_as_far_as_the_reader_may_read_it(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    known = await sales.make("contacts", first_name="Ada", last_name="Lovelace", phone="+4930123456")
    body = {"topic": "Card", "last_name": "Byron", "phone": "+4930123456"}
    answer = await sales.client.post(f"{API}/leads?duplicates=report", body)
    told = answer.json
    assert told["detail"] == (
        f"This is likely contact {known['number']} (the same telephone number). Use it, or send duplicates=allow to go on."
    )
    assert told["more"] is False
    other = await sales.make("contacts", last_name="Lovelace", mobile_phone="+4930123456")
    answer = await sales.client.post(f"{API}/leads?duplicates=report", body)
    for number in (known["number"], other["number"]):
        assert f"contact {number} (the same telephone number)" in answer.json["detail"]
    assert "Lovelace" not in answer.json["detail"], "a problem is no place for somebody's name"
    stranger = sales_for(principal(Depth.USER))
    answer = await stranger.client.post(f"{API}/leads?duplicates=report", body)
    assert answer.json["duplicates"] == [{"hidden": True}] * 2
    assert answer.json["detail"] == (
        "Records that you may not read are likely the same. Ask an administrator whose they are, or send"
        " duplicates=allow to go on."
    )
