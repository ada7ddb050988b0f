"""The kit's own tables, the same in every service's database."""

from sqlalchemy import MetaData

from crm_kit.audit import audit_table
from crm_kit.directory import directory_tables
from crm_kit.epochs import epoch_table
from crm_kit.idempotency import idempotency_table
from crm_kit.importing.tables import import_tables
from crm_kit.inbox import inbox_tables
from crm_kit.numbers import number_sequences
from crm_kit.outbox import outbox_tables
from crm_kit.reconciling.progress import rebuild_tables


def add_kit_tables(metadata: MetaData, *, numbers: tuple[str, ...] = ()) -> None:
    """Add to a service's metadata what the chassis keeps beside the domain's tables.

    ``numbers`` are the prefixes (``LEA``) this service draws record numbers for.
    """
    outbox_tables(metadata)
    epoch_table(metadata)
    rebuild_tables(metadata)
    inbox_tables(metadata)
    audit_table(metadata)
    idempotency_table(metadata)
    directory_tables(metadata)
    import_tables(metadata)
    number_sequences(metadata, numbers)
