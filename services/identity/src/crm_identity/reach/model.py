"""The former units of principals, in which their rows have stayed."""

from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from crm_identity.db import Base


class FormerUnit(Base):
    """A business unit that a user, team or API client was in before.

    Their rows stay in it. The entry outlives the unit.
    """

    __tablename__ = "former_unit"

    owner_id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(primary_key=True)
