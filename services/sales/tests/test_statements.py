"""The number of statements of frequent commands. BEGIN and COMMIT count."""

import re
from collections.abc import Callable

from crm_kit.access.privileges import Depth, Principal
from crm_kit.process.runtime import Runtime
from crm_kit.testing import counted, principal

from .journey import ADA, API, Sales
from .paperwork import buyer, derived, line, part, pay


async def test_statement_counts_of_leads(sales: Sales, runtime: Runtime) -> None:
    lead = await sales.make("leads", **ADA)
    with counted(runtime.db) as statements:
        await sales.make("leads", **ADA)
    assert 0 < len(statements) <= 4, statements
    with counted(runtime.db) as statements:
        await sales.get("leads", lead["id"])
    assert len(statements) == 1, statements
    with counted(runtime.db) as statements:
        await sales.page("leads", "limit=50&sort=-created_at")
    assert len(statements) == 1, statements


async def test_statement_counts_of_qualify(sales: Sales, runtime: Runtime) -> None:
    # The first command draws the blocks of numbers that the next two hundred use.
    first = await sales.make("leads", **ADA)
    await sales.act("leads", first, "qualify")
    lead = await sales.make("leads", topic="Car", last_name="Babbage", company_name="Difference & Co")
    with counted(runtime.db) as statements:
        await sales.act("leads", lead, "qualify")
    assert 0 < len(statements) <= 8, statements


async def test_a_list_at_user_depth_is_one_statement_too(
    sales: Sales, sales_for: Callable[[Principal], Sales], runtime: Runtime
) -> None:
    seller = sales_for(principal(Depth.USER))
    await seller.make("leads", **ADA)
    await seller.page("leads", "limit=50")
    with counted(runtime.db) as statements:
        assert len(await seller.page("leads", "limit=50")) == 1
    assert len(statements) == 1, statements


async def test_statement_counts_of_winning(sales: Sales, runtime: Runtime) -> None:
    account = await sales.make("accounts", name="Movers", tier="key")
    deal = await sales.make("opportunities", name="Fleet", customer={"type": "account", "id": account["id"]})
    value = {"amount": "1.00", "currency": "EUR"}
    with counted(runtime.db) as statements:
        answer = await sales.client.post(f"{API}/opportunities/{deal['id']}/win", {"actual_value": value})
    assert answer.status == 200
    assert 0 < len(statements) <= 7, statements


async def test_duplicates_are_searched_by_index_however_small_the_tables(sales: Sales, runtime: Runtime) -> None:
    lead = await sales.make("leads", **ADA)
    with counted(runtime.db) as statements:
        await sales.act("leads", lead, "qualify")
    search = next(statement for statement in statements if "similarity(" in statement)
    unknown = ", ".join("null" for _ in set(re.findall(r"\$\d+", search)))
    async with runtime.db.begin() as conn:
        await conn.exec_driver_sql("set local plan_cache_mode = force_generic_plan")
        await conn.exec_driver_sql(f"prepare search as {search}")
        plan = "\n".join(row[0] for row in await conn.exec_driver_sql(f"explain execute search({unknown})"))
        await conn.exec_driver_sql("deallocate search")
    assert "Seq Scan" not in plan
    assert "ix_account_namesake" in plan
    assert "ix_contact_namesake" in plan


async def test_statement_counts_from_order_to_payment(sales: Sales, runtime: Runtime) -> None:
    customer = await buyer(sales)
    lines = [line(f"Part {n}") for n in range(20)]
    with counted(runtime.db) as statements:
        order = await sales.make("orders", name="Furniture", customer=customer, lines=lines)
    assert len(statements) <= 4, statements
    with counted(runtime.db) as statements:
        await sales.act("orders", order, "submit")
    # BEGIN, the order, the name of its customer, the write, COMMIT.
    assert len(statements) <= 5, statements
    with counted(runtime.db) as statements:
        await sales.act("orders", order, "fulfill")
    assert len(statements) <= 5, statements
    first = await derived(sales, "orders", order, "invoice", lines=[part(order, n, "0.5") for n in range(20)])
    with counted(runtime.db) as statements:
        await derived(sales, "orders", order, "invoice")
    # One more for what was billed before, whatever the number of lines.
    assert len(statements) <= 6, statements
    with counted(runtime.db) as statements:
        await sales.act("invoices", first, "issue")
    # Two more: the origin, and the number.
    assert len(statements) <= 7, statements
    with counted(runtime.db) as statements:
        await pay(sales, first, "1.00")
    assert len(statements) <= 5, statements
