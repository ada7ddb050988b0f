"""Shared column types, indexes and names of constraints."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Enum, Index, MetaData, Numeric, String, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Composite, composite, mapped_column

from crm_contracts.money import Money

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def service_metadata() -> MetaData:
    """Metadata with stable constraint names, the same in the migrations of all services."""
    return MetaData(naming_convention=NAMING)


class Timestamp(TIMESTAMP):
    """timestamptz; a time without a zone is refused."""

    cache_ok = True

    def __init__(self) -> None:
        super().__init__(timezone=True)


TYPE_MAP: dict[Any, Any] = {
    UUID: Uuid(),
    datetime: Timestamp(),
    dict[str, Any]: JSONB(none_as_null=True),
    list[Any]: JSONB(none_as_null=True),
}


class PercentType(Numeric[Any]):
    """0 to 100 with two decimals, or as many as given; a JSON number, where other decimals are strings."""

    cache_ok = True

    def __init__(self, decimals: int = 2) -> None:
        self.decimals = decimals
        super().__init__(3 + decimals, decimals)


def text_enum(values: type[StrEnum], *, name: str | None = None) -> Enum:
    """Text with a CHECK: a new value is an additive migration, never a blocking ALTER TYPE."""
    return Enum(
        values,
        native_enum=False,
        create_constraint=True,
        length=40,
        name=name or values.__name__.lower(),
        values_callable=lambda members: [member.value for member in members],
    )


def money_columns(name: str) -> Composite[Any]:
    """``<name>_amount`` and ``<name>_currency``, read and written together as Money or None."""
    return composite(
        Money,
        mapped_column(f"{name}_amount", Numeric(20, 4), nullable=True),
        mapped_column(f"{name}_currency", String(3), nullable=True),
        return_none_on=lambda amount, _: amount is None,
    )


def record_indexes() -> list[Index]:
    """The indexes of a list that is sorted by when its records were made or changed."""
    return [Index(None, "created_at", "id"), Index(None, "modified_at", "id")]


def owned_indexes() -> list[Index]:
    """Those of records that have an owner: a caller may read only what one owner, or one unit, has."""
    whose = [Index(None, column, "created_at", "id") for column in ("owner_id", "business_unit_id")]
    return [*record_indexes(), *whose]


def search_index() -> Index:
    """The index of a ``search_column``: texts that contain a pattern of at least three characters."""
    return Index(None, "search_text", postgresql_using="gin", postgresql_ops={"search_text": "gin_trgm_ops"})


def sorted_indexes(table: str, *columns: str) -> list[Index]:
    """One index for each nullable sort column, together with id; nulls count as lowest in both directions."""
    return [Index(f"ix_{table}_{column}_id", text(f"{column} nulls first"), "id") for column in columns]


def name_indexes(table: str, *columns: str) -> list[Index]:
    """One index for each column with a text that people read, together with id. Lists sort by it as people expect
    (``crm_kit.store.searching.sort_key``); nulls count as lowest in both directions."""
    return [
        Index(f"ix_{table}_{column}_in_order", text(f"crm_sort_key({column}) nulls first"), "id") for column in columns
    ]


def reference_indexes(table: str, *columns: str) -> list[Index]:
    """An index for each reference, without null values, to find referring rows."""
    return [Index(f"ix_{table}_{column}", column, postgresql_where=text(f"{column} is not null")) for column in columns]


def folded_index(table: str, column: str) -> Index:
    """An index of the lower-cased values that are not null, to find a text in any case."""
    return Index(
        f"ix_{table}_{column}_folded", text(f"lower({column})"), postgresql_where=text(f"{column} is not null")
    )


UNIQUE_OVER: Final = "unique over"


def unique_over(*columns: str) -> dict[str, Any]:
    """The ``info`` of a unique index over an expression: the columns that it is about, which a problem names."""
    return {UNIQUE_OVER: columns}
