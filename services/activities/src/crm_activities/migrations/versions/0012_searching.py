"""Search columns with folded text."""

from typing import Final

from alembic import op
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit.schema import v0010_searching
from crm_kit.schema.ahead import NewIndex
from crm_kit.store.searching import Fill, Searched

revision = "0012"
down_revision = "0011"

TABLES: Final = {
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

ALL_ACTIVITIES: Final = """
create or replace view activity as
select 'phone_call'::varchar(50) as type, id, version, owner_type, owner_id, business_unit_id, status, status_reason, subject,
  regarding_type, regarding_id, due_at, priority, remind_at, reminded_at, completed_at, happened_at, priority_rank,
  created_at, created_by, modified_at, modified_by, search_text, party_ids
from phone_call
union all
select 'task'::varchar(50) as type, id, version, owner_type, owner_id, business_unit_id, status, status_reason, subject,
  regarding_type, regarding_id, due_at, priority, remind_at, reminded_at, completed_at, happened_at, priority_rank,
  created_at, created_by, modified_at, modified_by, search_text, '{}'::uuid[]
from task
"""
PARTIES: Final = NewIndex("ix_phone_call_party_ids", "phone_call", ("party_ids",), definition="using gin (party_ids)")


async def ahead(conn: AsyncConnection) -> None:
    """Do the rows again, and make the index."""
    await v0010_searching.ahead(TABLES)(conn)
    await PARTIES.make(conn)


def upgrade() -> None:
    v0010_searching.upgrade(TABLES)
    PARTIES.within()
    op.execute(ALL_ACTIVITIES)
