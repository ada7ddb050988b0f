"""The tables of the kit, which are the same in every service's database."""

from sqlalchemy import MetaData

from crm_kit.access.directory import directory_tables
from crm_kit.events.epochs import epoch_table
from crm_kit.events.inbox import inbox_tables
from crm_kit.importing.tables import import_tables
from crm_kit.reconciling.progress import rebuild_tables
from crm_kit.store.numbers import number_sequences
from crm_kit.work.audit import audit_table
from crm_kit.work.idempotency import idempotency_table
from crm_kit.work.outbox import outbox_tables


def add_kit_tables(metadata: MetaData, *, numbers: tuple[str, ...] = ()) -> None:
    """Add the tables of the kit to a service's metadata.

    ``numbers`` are the prefixes (``LEA``) for which the service draws record numbers.
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
