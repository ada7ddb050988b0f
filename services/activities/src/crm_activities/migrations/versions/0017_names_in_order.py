"""Texts that people read are sorted as they expect."""

from typing import Final

from alembic import op

from crm_kit.schema import v0012_names_in_order
from crm_kit.schema.v0012_names_in_order import in_order
from crm_kit.store.searching import Fill, Searched

revision = "0017"
down_revision = "0016"

TABLES: Final = {
    "email": Searched(
        ("subject", "sender", "preview"),
        more=(
            "(select string_agg(concat_ws(' ', p ->> 'name', p ->> 'address'), ' ') from jsonb_array_elements(new.parties) p)",
        ),
        fills=(
            Fill(
                column="party_ids",
                definition="uuid[] default '{}' not null",
                value="array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p where p -> 'party' ->> 'id' is not null)",
            ),
        ),
    ),
    "appointment": Searched(
        ("subject", "location"),
        more=("(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)",),
        fills=(
            Fill(
                column="party_ids",
                definition="uuid[] default '{}' not null",
                value="array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p where p -> 'party' ->> 'id' is not null)",
            ),
        ),
    ),
    "phone_call": Searched(
        ("subject", "phone_number", "outcome"),
        more=("(select string_agg(p ->> 'name', ' ') from jsonb_array_elements(new.parties) p)",),
        fills=(
            Fill(
                column="party_ids",
                definition="uuid[] default '{}' not null",
                value="array(select distinct (p -> 'party' ->> 'id')::uuid from jsonb_array_elements(new.parties) p where p -> 'party' ->> 'id' is not null)",
            ),
        ),
    ),
    "task": Searched(("subject", "category")),
}
INDEXES: Final = (
    *in_order("phone_call", "subject"),
    *in_order("task", "subject"),
    *in_order("appointment", "subject"),
    *in_order("email", "subject"),
)

ahead = v0012_names_in_order.ahead(TABLES, INDEXES)


def upgrade() -> None:
    v0012_names_in_order.upgrade(TABLES, INDEXES)
    # No release used them.
    op.execute("drop index if exists public.ix_appointment_subject_id")
    op.execute("drop index if exists public.ix_email_subject_id")
