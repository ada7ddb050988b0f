"""The part of a document's lines that is delivered, billed or credited."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select

from crm_contracts.sales.order import LineQuantity
from crm_kit.work.uow import UnitOfWork
from crm_sales.document.model import SalesDocument
from crm_sales.pricing.domain import require_decimals
from crm_sales.pricing.shares import take
from crm_sales.product.model import Product


async def take_part(
    uow: UnitOfWork,
    document: SalesDocument,
    left: Mapping[UUID, Decimal],
    wanted: Sequence[LineQuantity] | None,
    why: str,
) -> dict[UUID, Decimal]:
    """Return the requested quantities of a locked document, or everything that is left.

    422 as in ``take``, and ``too-many-decimals`` for a fraction in which the product is not sold.
    """
    taken = take(left, wanted, why)
    if wanted is None:
        return taken
    lines = {line.id: line for line in document.priced_lines}
    # A quantity with as many decimals as its line's was checked before. Only a finer one needs the product.
    finer = {
        position: product_id
        for position, wish in enumerate(wanted)
        if (product_id := lines[wish.line_id].product_id) is not None
        and _decimals(wish.quantity) > _decimals(lines[wish.line_id].quantity)
    }
    if finer:
        products = select(Product.id, Product.decimals).where(Product.id.in_(set(finer.values())))
        decimals = {row.id: row.decimals for row in await uow.execute(products)}
        for position, product_id in finer.items():
            require_decimals(wanted[position].quantity, decimals[product_id], f"/lines/{position}/quantity")
    return taken


def _decimals(quantity: Decimal) -> int:
    return max(0, -int(quantity.normalize().as_tuple().exponent))
