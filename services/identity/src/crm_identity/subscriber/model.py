"""The queues of other systems, and what the broker dropped from them."""

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from crm_identity.db import Base


class SubscriberQueue(Base):
    """A queue of another system, as an operator announced it."""

    __tablename__ = "subscriber_queue"

    queue: Mapped[str] = mapped_column(String(100), primary_key=True)
    announced_at: Mapped[datetime]


class SubscriberDrop(Base):
    """How many messages the broker dropped from a queue for a reason: `maxlen`, `expired`, `delivery_limit` or `rejected`."""

    __tablename__ = "subscriber_drop"

    queue: Mapped[str] = mapped_column(String(100), primary_key=True)
    reason: Mapped[str] = mapped_column(String(30), primary_key=True)
    messages: Mapped[int] = mapped_column(BigInteger)
    last_at: Mapped[datetime]
