"""``ProductRef``: the copy of sales' products, to which cases refer."""

from uuid import UUID

from crm_contracts.sales.product import PRODUCT
from crm_kit.copies.referable import ReferableCopy, refer_to_copy
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base


class ProductRef(ReferableCopy, Base):
    """A product. Its status is not kept: customers still use retired products."""

    __tablename__ = "product_ref"


async def refer_to_product(uow: UnitOfWork, product_id: UUID | None) -> None:
    """Check the product of a case. 422 ``unknown-reference`` at ``/product_id``."""
    await refer_to_copy(uow, ProductRef, PRODUCT.name, product_id, "/product_id")
