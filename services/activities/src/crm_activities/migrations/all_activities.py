"""The view over the activities of all types, as revisions change it."""

from typing import Final

from alembic import op

COLUMNS: Final = (
    "id, version, owner_type, owner_id, business_unit_id, status, status_reason, subject, regarding_type, regarding_id, due_at,"
    " priority, remind_at, reminded_at, completed_at, happened_at, priority_rank, created_at, created_by, modified_at,"
    " modified_by, search_text"
)


def add_to_view(table: str, party_ids: str = "'{}'::uuid[]") -> None:
    """Add the rows of a table to the view, whatever it shows already, so that revisions need not know each other's types.

    ``party_ids`` is the SQL of the ids of who takes part.
    """
    connection = op.get_bind()
    present = (
        connection.exec_driver_sql("select pg_get_viewdef('activity'::regclass)").scalar_one().rstrip().rstrip(";")
    )
    added = f"select '{table}'::varchar(50) as type, {COLUMNS}, {party_ids} from {table}"  # noqa: S608  # names of ours
    connection.exec_driver_sql(f"create or replace view activity as {present} union all {added}")
