"""The tables of a service: its own, which are found by the names of their modules, and those of the kit."""

from collections.abc import Iterable

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

from crm_kit.access.directory import directory_tables
from crm_kit.discovery import beside_slices, of_slices
from crm_kit.events.epochs import epoch_table
from crm_kit.events.inbox import inbox_tables
from crm_kit.importing.tables import import_tables
from crm_kit.reconciling.progress import rebuild_tables
from crm_kit.store.numbers import number_sequences
from crm_kit.store.record import Record
from crm_kit.store.references import records_of
from crm_kit.work.audit import audit_table
from crm_kit.work.idempotency import idempotency_table
from crm_kit.work.outbox import outbox_tables

BESIDE_SLICES = ("handover", "merging", "projections")
"""What else declares tables: the handovers of removed owners, the moves after a merge, and copies of others' records."""


def find_entities(service: str, base: type[DeclarativeBase]) -> tuple[type[Record], ...]:
    """Import every module of a service that declares tables, and return its kinds of record by name.

    These are ``model`` in each slice, ``handover``, ``merging``, and everything in ``projections``. ``service`` is the name of
    the package (``crm_sales``), and ``base`` that of its models.
    """
    # Importing a model adds its table to the base.
    _ = [*of_slices(service, "model"), *beside_slices(service, *BESIDE_SLICES)]
    return tuple(records_of(base.registry))


def add_kit_tables(metadata: MetaData, entities: Iterable[type[Record]] = ()) -> None:
    """Add the tables of the kit to a service's metadata, and the sequences of the entities that have numbers."""
    outbox_tables(metadata)
    epoch_table(metadata)
    rebuild_tables(metadata)
    inbox_tables(metadata)
    audit_table(metadata)
    idempotency_table(metadata)
    directory_tables(metadata)
    import_tables(metadata)
    number_sequences(metadata, [one.numbered for one in entities if hasattr(one, "numbered")])
