"""Apply a patch to a document with lines, before the document is priced."""

from collections.abc import Callable

from crm_kit.records.patch import Patch
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork
from crm_sales.customer_link.references import set_customer
from crm_sales.document.model import SalesDocument
from crm_sales.document.payment import settle_terms
from crm_sales.opportunity.model import Opportunity
from crm_sales.projections.campaign_ref import refer_to_campaign


async def edit(
    uow: UnitOfWork,
    document: SalesDocument,
    patch: Patch,
    deal: Opportunity | None,
    require_fit: Callable[[Opportunity], None],
) -> set[str]:
    """Set the patched fields except the lines. Return the names of the fields that have new values.

    ``deal`` is the deal that the patch names. ``require_fit`` checks it if it is new to the document.
    """
    values = patch.onto(document)
    values.pop("lines", None)
    settle_terms(values)
    if "customer" in values:
        await set_customer(uow, document, values.pop("customer"))
    await refer_to_campaign(uow, values.get("campaign_id"), document.campaign_id)
    if deal is not None and deal.id != document.opportunity_id:
        require_fit(deal)
    changed = {name for name, value in values.items() if getattr(document, name) != value}
    apply(document, values)
    return changed | (patch.model_fields_set & {"lines"})
