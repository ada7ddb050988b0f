"""Names of customers in documents whose reader may not read the customer.

The sweep in ``tests/attacks`` covers the rest.
"""

from collections.abc import Callable
from typing import Any

from crm_kit.access.privileges import Depth, Principal
from crm_kit.testing import principal

from .journey import Sales
from .selling import VAN, make_customer


async def test_a_history_names_only_the_customers_one_may_read(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    me = principal(account=Depth.USER)
    seller = sales_for(me)
    mine, theirs = await make_customer(seller, name="Mine"), await make_customer(sales, name="Theirs")
    deal = await sales.make("opportunities", name="Fleet", customer=theirs)
    await sales.patch("opportunities", deal, customer=mine)
    [updated, created] = (await seller.get("opportunities", f"{deal['id']}/history"))["items"]
    hidden: dict[str, Any] = {**theirs, "name": None, "deleted": False, "hidden": True}
    shown = {**mine, "name": "Mine", "deleted": False}
    assert updated["changes"]["customer"] == {"old": hidden, "new": shown}
    assert created["record"]["customer"] == hidden
    [whole, _] = (await sales.get("opportunities", f"{deal['id']}/history"))["items"]
    assert whole["changes"]["customer"]["old"]["name"] == "Theirs"


async def test_a_document_of_somebody_elses_deal_hides_its_customer_and_tells_others_in_full(
    sales: Sales, sales_for: Callable[[Principal], Sales]
) -> None:
    customer = await make_customer(sales, name="Theirs", billing_address={"city": "London", "country": "GB"})
    deal = await sales.make("opportunities", name="Fleet", customer=customer, lines=[VAN])
    seller = sales_for(principal(account=Depth.USER))
    quote = await seller.make("quotes", name="Fleet", opportunity_id=deal["id"], lines=[VAN])
    assert quote["customer"] == {**customer, "name": None, "deleted": False, "hidden": True}
    assert quote["bill_to"] is None
    # Subscribers are not readers: an event has the name at the time of writing.
    assert (await sales.events())[-1]["data"]["record"]["customer"]["name"] == "Theirs"
