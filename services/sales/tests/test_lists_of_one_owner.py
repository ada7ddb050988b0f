"""The cost of pages of records whose owner has many, in an order without an index by owner: rows and plans."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from crm_kit.access.privileges import Depth, Principal
from crm_kit.records import pages
from crm_kit.store.record import new_id
from crm_kit.testing import People, principal
from crm_kit.testing.databases import ServiceDatabase

from .journey import Sales
from .plans import Counting

LEADS = 12_000
MUCH, LITTLE = new_id(), new_id()
"""The owner of every third lead, and the owner of every four-hundredth."""
LAST = new_id()
"""The owner of a fifth of the leads, all of which are last in the order."""

MADE = """
insert into lead (id, version, owner_type, owner_id, business_unit_id, rating, status, status_reason, number, topic, last_name,
    company_name, preferred_channel, do_not_email, do_not_phone, do_not_post, created_at, modified_at)
select gen_random_uuid(), 1, 'user',
    case when n % 3 = 0 then $2::uuid when n % 400 = 1 then $3 when n % 5 = 1 then $4
        else ('00000000-0000-4000-8000-' || lpad((n % 50)::text, 12, '0'))::uuid end, $5,
    case when n % 2 = 0 then 'hot' else 'cold' end, 'open', 'new', 'X-' || n, 'Offer ' || n,
    case when n % 3 > 0 and n % 5 = 1 then 'z' else '' end || md5(n::text), 'Company ' || n % 10,
    'any', false, false, false, now() - n * interval '1 second', now()
from generate_series(1, $1::int) n
"""


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting("lead")
    monkeypatch.setattr(pages, "fetch", counting)
    return counting


@pytest.fixture
async def many(database: ServiceDatabase) -> None:
    # A separate connection: those of the API have a shorter statement timeout.
    conn = await asyncpg.connect(database.url)
    await conn.execute(MADE, LEADS, MUCH, LITTLE, LAST, new_id())
    await conn.execute("analyze lead")
    await conn.close()


@pytest.mark.usefixtures("many")
async def test_a_page_of_ones_own_is_no_walk_through_all_of_them(
    sales_for: Callable[[Principal], Sales], counting: Counting
) -> None:
    bound = pages.LEAST

    async def read(owner: UUID, query: str) -> tuple[list[dict[str, Any]], list[int]]:
        counting.rows.clear()
        found = await sales_for(principal(Depth.USER, id=owner)).page("leads", f"limit=50&{query}")
        return found, list(counting.rows)

    for query in ("sort=last_name", "sort=-last_name", "sort=company_name", "rating=hot&sort=last_name"):
        found, rows = await read(MUCH, query)
        assert len(found) == 50
        assert len(rows) == 2, "counted up to the bound, then past the others"
        assert sum(rows) < 3 * bound < LEADS / 3, (query, rows)
    found, rows = await read(MUCH, "sort=last_name")
    assert [one["last_name"] for one in found] == sorted(one["last_name"] for one in found)

    found, rows = await read(LITTLE, "sort=last_name")
    assert (len(found), len(rows)) == (20, 1), "theirs, sorted"
    assert rows[0] < 2 * 20 + 10, "and nobody else's"

    found, rows = await read(LAST, "sort=last_name")
    assert (len(found), len(rows)) == (50, 3), "theirs are not to be found past others, so they are sorted after all"
    assert sum(rows) < LEADS / 5 + 6 * bound
    found, rows = await read(LAST, "sort=-last_name")
    assert (len(found), len(rows)) == (50, 2)

    for owner in (MUCH, LITTLE, LAST):
        _, rows = await read(owner, "sort=-created_at")
        assert len(rows) == 1, "there is an index of each owner's rows"
        assert rows[0] <= 51


MANY_UNITS = 40
SPREAD = "update lead set business_unit_id = ($1::uuid[])[1 + abs(hashtext(id::text)) % cardinality($1::uuid[])]"


@pytest.mark.usefixtures("many")
async def test_many_units_are_counted_together(
    sales_for: Callable[[Principal], Sales], counting: Counting, database: ServiceDatabase, people: People
) -> None:
    top = await people.unit("Top")
    units = [await people.unit(f"Unit {n}", parent=top) for n in range(MANY_UNITS)]
    conn = await asyncpg.connect(database.url)
    await conn.execute(SPREAD, units)
    await conn.execute("analyze lead")
    await conn.close()
    caller = principal(Depth.DEEP, unit=top)
    found = await sales_for(caller).page("leads", "limit=50&sort=last_name")
    assert len(found) == 50
    assert len(counting.rows) == 2, "counted up to the bound, then the first of everybody's"
    assert counting.rows[0] <= 2 * pages.LEAST, "of all units together"
