"""The table of contacts."""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import Index, String, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_contracts.sales.choices import BuyingPower, Gender, PreferredChannel, Tier
from crm_contracts.sales.contact import ContactRecord
from crm_kit.store.columns import folded_index, name_indexes, owned_indexes, reference_indexes, search_index, text_enum
from crm_kit.store.record import Mergeable
from crm_kit.store.refers import reference
from crm_kit.store.searching import search_column, search_rule
from crm_sales.contact.domain import LIFECYCLE
from crm_sales.db import Base


class Contact(Mergeable, Base):
    """A person that we deal with."""

    __tablename__ = "contact"
    numbered = "CON"
    record_model: ClassVar[type[BaseModel]] = ContactRecord
    lifecycle = LIFECYCLE
    merges_from = frozenset({"active"})
    survives_in = frozenset({"active"})
    # Problem documents never contain the name of a person.
    called = "number"

    number: Mapped[str] = mapped_column(String(20), unique=True)
    first_name: Mapped[str | None] = mapped_column(String(200))
    last_name: Mapped[str] = mapped_column(String(200))
    full_name: Mapped[str] = mapped_column(String(401))
    gender: Mapped[Gender | None] = mapped_column(text_enum(Gender))
    birth_date: Mapped[date | None]
    account_id: Mapped[UUID | None] = reference("account")
    job_title: Mapped[str | None] = mapped_column(String(200))
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(16))
    mobile_phone: Mapped[str | None] = mapped_column(String(16))
    address: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    tier: Mapped[Tier] = mapped_column(text_enum(Tier))
    preferred_channel: Mapped[PreferredChannel] = mapped_column(text_enum(PreferredChannel))
    do_not_email: Mapped[bool]
    do_not_phone: Mapped[bool]
    do_not_post: Mapped[bool]
    interests: Mapped[list[Any]] = mapped_column(JSONB)
    needs: Mapped[str | None] = mapped_column(Text)
    buying_power: Mapped[BuyingPower | None] = mapped_column(text_enum(BuyingPower))
    evaluation: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)

    search_text: Mapped[str] = search_column(
        "full_name", "email", "phone", "mobile_phone", "number", person=("last_name", "first_name")
    )
    search_rule: Mapped[int] = search_rule()

    __table_args__ = (
        *owned_indexes(),
        *name_indexes("contact", "full_name", "last_name", "first_name"),
        Index(None, "full_name", "id"),
        Index(None, "tier", "id"),
        *reference_indexes("contact", "account_id", "email", "phone", "mobile_phone"),
        # Without fastupdate: each search for duplicates would have to scan the pending list.
        Index(
            "ix_contact_namesake",
            text("crm_folded(full_name) gin_trgm_ops"),
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
        ),
        folded_index("contact", "email"),
        search_index(),
    )
