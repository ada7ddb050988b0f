"""The settings of the organisation: one record. Its row lock also serialises all changes of access."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import BigInteger, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.access import Privilege
from crm_contracts.identity import OrganizationRecord
from crm_identity.db import Base
from crm_kit import clock
from crm_kit.store.record import Record
from crm_kit.work.uow import UnitOfWork

ORGANIZATION_ID = UUID("0190a000-0000-7000-8000-000000000001")


class OrganizationSettings(Record, Base):
    """The organisation of this installation."""

    __tablename__ = "organization"
    record_model: ClassVar[type[BaseModel]] = OrganizationRecord

    name: Mapped[str] = mapped_column(String(200))
    time_zone: Mapped[str] = mapped_column(String(64))
    base_currency: Mapped[str] = mapped_column(String(3))
    country: Mapped[str] = mapped_column(String(2))
    language: Mapped[str] = mapped_column(String(35))


class AccessSequence(Base):
    """One row: the number of access changes. Tokens and revocations are compared by it, never by clocks."""

    __tablename__ = "access_sequence"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    value: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True, slots=True)
class Since:
    """The point from which an access change applies."""

    moment: datetime
    """The time, for people and for services of an earlier release."""
    sequence: int
    """Identity's own counter."""


# The counter starts at the microseconds since 1970, and jumps there whenever it is behind. A database restored from an
# older backup therefore exceeds all numbers that were used before.
_COUNT = """
insert into access_sequence as s (id, value) values (1, $1)
on conflict (id) do update set value = greatest(s.value + 1, excluded.value) returning value
"""

R = TypeVar("R", bound=Record)


async def get_alone(uow: UnitOfWork, entity: type[R], record_id: UUID, privilege: Privilege) -> tuple[R, Since]:
    """Lock a record that determines rights. Return it, and the point from which its change applies.

    The organisation is always locked first. Another order could cause deadlocks.
    """
    uow.principal.require(entity.entity(), privilege)
    since = await hold_access(uow)
    return await uow.get(entity, record_id, privilege), since


async def hold_access(uow: UnitOfWork) -> Since:
    """Wait until only this unit of work can change rights. Return the point from which its changes apply.

    Issuing a token locks the same row shared. A token therefore either has a smaller sequence, and is superseded, or is
    read after this unit of work has committed. Two concurrent changes cannot make a cycle or remove the last
    administrator.
    """
    await uow.load(OrganizationSettings, ORGANIZATION_ID)
    # Not ``uow.now``: tokens may have been issued while this waited for the lock.
    now = clock.now()
    counted = await (await uow.connection()).exec_driver_sql(_COUNT, (int(now.timestamp() * 1_000_000),))
    return Since(now, counted.scalar_one())
