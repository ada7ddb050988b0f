"""Products for records that refer to them."""

from uuid import UUID

from sqlalchemy import bindparam, select

from crm_kit.errors import UnknownReference
from crm_kit.store.record import stored_columns
from crm_kit.work.uow import UnitOfWork
from crm_sales.product.model import Product

_PRODUCT = Product.__table__
HELD = (
    select(*(_PRODUCT.c[column] for column in stored_columns(Product)))
    .where(_PRODUCT.c.id == bindparam("id"))
    .with_for_update(read=True)
)


async def hold_product(uow: UnitOfWork, product_id: UUID, pointer: str) -> Product:
    """Return the product, locked FOR SHARE: until the end of the transaction nobody can change, retire or delete it.

    422 ``unknown-reference`` with the pointer if it does not exist or is not readable to the caller.
    """
    readable = uow.reach(Product).everything
    conn = await uow.transaction()
    row = (await conn.execute(HELD, {"id": product_id})).mappings().one_or_none() if readable else None
    if row is None:
        raise UnknownReference(pointer, Product.entity())
    return Product.from_row(dict(row))
