"""No copies of settings, and nothing of them in timelines. Some had the id of a record of another service, whose copy then took no
effect and whose timeline showed both."""

from alembic import op

revision = "0011"
down_revision = "0010"

# Rows of timelines are found by their records. The copies know the settings that people made. Those that came with the
# installation have these ids, and the copy of such an id may be that of a role.
FORGET_EVENTS = r"""
delete from timeline_event where record_id in (
    select id from record_ref where type in ('organization', 'sales_settings', 'follow_up_rule')
    union all select unnest(array[
        '0190a000-0000-7000-8000-000000000001', '0190a000-0000-7000-8000-000000000101', '0190a000-0000-7000-8000-000000000102'
    ]::uuid[]))
and (type like 'crm.identity.organization.%' or type like 'crm.sales.sales_settings.%'
    or type like 'crm.activities.follow_up_rule.%')
"""


def upgrade() -> None:
    op.execute(FORGET_EVENTS)
    op.execute("delete from record_ref where type in ('organization', 'sales_settings', 'follow_up_rule')")
