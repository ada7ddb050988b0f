"""Invoice numbers have no gaps, also after failures and under concurrency."""

import asyncio
from uuid import UUID

from crm_kit.process.runtime import Runtime
from crm_kit.testing import Answer, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork
from crm_sales.invoice.issue import issue_invoice

from .journey import Json, Sales
from .paperwork import buyer, derived, issued, line


class Failed(Exception):
    """The failure between drawing a number and the commit."""


async def issue_and_fail(runtime: Runtime, invoice: Json, places: asyncio.Semaphore) -> None:
    """Draw a number, write everything, and never commit.

    ``places`` limits the connections, so that the API has some.
    """
    async with places:
        uow = UnitOfWork(runtime, principal(), Cause(correlation_id="a test"))
        try:
            await issue_invoice(uow, UUID(invoice["id"]))
            await uow.flush()
            raise Failed
        except Failed:
            pass
        finally:
            await uow.close()


async def issue(sales: Sales, invoice: Json) -> Answer:
    """Issue the invoice. Try again while the service has no free connection, as a client does."""
    while (answer := await sales.try_act("invoices", invoice, "issue")).status == 503:
        pass
    return answer


async def test_thirty_issues_at_once_some_of_which_fail_leave_no_gap(sales: Sales, runtime: Runtime) -> None:
    customer = await buyer(sales)
    drafts = [await sales.make("invoices", name=f"No. {n}", customer=customer, lines=[line()]) for n in range(30)]
    empty = [await sales.make("invoices", name=f"Empty {n}", customer=customer) for n in range(5)]
    failing, issued_once = drafts[:10], drafts[10:]
    places = asyncio.Semaphore(2)
    results = await asyncio.gather(
        *(issue_and_fail(runtime, invoice, places) for invoice in failing),
        *(issue(sales, invoice) for invoice in issued_once),
        *(issue(sales, invoice) for invoice in empty),
        *(issue(sales, invoice) for invoice in issued_once[:5]),
    )
    statuses = [answer.status for answer in results[10:] if answer is not None]
    assert (statuses.count(200), statuses.count(422), statuses.count(409)) == (20, 5, 5)
    listed = await sales.page("invoices", "number[is_null]=false&sort=number&limit=200")
    assert [invoice["number"] for invoice in listed] == [f"INV-{n:05d}" for n in range(1, 21)]
    for invoice in failing:
        assert (await sales.get("invoices", invoice["id"]))["status"] == "draft"
    await asyncio.gather(*(issue(sales, invoice) for invoice in failing))
    listed = await sales.page("invoices", "number[is_null]=false&sort=number&limit=200")
    assert [invoice["number"] for invoice in listed] == [f"INV-{n:05d}" for n in range(1, 31)]


async def test_credit_notes_are_numbered_with_the_invoices(sales: Sales) -> None:
    invoice = await issued(sales)
    note = await derived(sales, "invoices", invoice, "credit", reason="Returned")
    numbers = [
        invoice["number"],
        (await sales.act("invoices", note, "issue"))["number"],
        (await issued(sales))["number"],
    ]
    assert numbers == [f"INV-{n:05d}" for n in (1, 2, 3)]
