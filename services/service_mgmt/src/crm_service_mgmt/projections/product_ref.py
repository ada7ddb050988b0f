"""``ProductRef``: what service management knows of sales' products, so that a case may be about one of them."""

from uuid import UUID

from crm_contracts.sales.product import PRODUCT
from crm_kit.copies.known import ReferableCopy, refer_to_copy
from crm_kit.work.uow import UnitOfWork
from crm_service_mgmt.db import Base


class ProductRef(ReferableCopy, Base):
    """One product. Its state is no matter: customers still have what is sold no more."""

    __tablename__ = "product_ref"


async def refer_to_product(uow: UnitOfWork, product_id: UUID | None) -> None:
    """Check the product that a case shall be about: 422 ``unknown-reference`` at ``/product_id``."""
    await refer_to_copy(uow, ProductRef, PRODUCT.name, product_id, "/product_id")
