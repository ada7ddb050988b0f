"""The common parts of records: id, version, owner, status, and the survivor of a merge."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Self
from uuid import UUID

import uuid_utils
from pydantic import BaseModel
from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column, registry

from crm_contracts.access import Depth, Privilege
from crm_kit import clock
from crm_kit.errors import IllegalTransition
from crm_kit.lifecycle import Lifecycle
from crm_kit.store.searching import is_kept


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): time-ordered, so new rows land at the end of every index."""
    return UUID(bytes=uuid_utils.uuid7(nanoseconds=int(clock.now().timestamp() * 1e9)).bytes)


# A forked process would otherwise draw the same random bits as its siblings.
os.register_at_fork(after_in_child=uuid_utils.reseed_rng)


def stored_columns(entity: "type[Record]") -> tuple[str, ...]:
    """The names of the written columns, without those that the database fills."""
    columns = _STORED.get(entity)
    if columns is None:
        # SQLAlchemy's names are a subclass of str, which JSON encoders refuse as keys.
        columns = _STORED[entity] = tuple(str(c.key) for c in entity.__table__.c if not is_kept(c))
    return columns


_STORED: "dict[type[Record], tuple[str, ...]]" = {}


def _columns_of(entity: "type[Record]") -> frozenset[str]:
    columns = _COLUMNS.get(entity)
    if columns is None:
        columns = _COLUMNS[entity] = frozenset(stored_columns(entity))
    return columns


_COLUMNS: "dict[type[Record], frozenset[str]]" = {}


class Record:
    """The base of all records. Verbs and patches change the fields; the unit of work stamps version and modifier."""

    __tablename__: str
    __table__: ClassVar[Any]
    registry: ClassVar[registry]
    """The models of the service."""
    record_model: ClassVar[type[BaseModel]]
    """The contract of this record in the API and in events."""
    called: ClassVar[str | None] = "name"
    """The column by which a problem names such a record; None where it has no name of its own."""
    numbered: ClassVar[str]
    """The prefix of its numbers (``LEA``), which a sequence draws. An entity without numbers does not set it."""

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-20)
    version: Mapped[int] = mapped_column(sort_order=-19)
    created_at: Mapped[datetime] = mapped_column(sort_order=90)
    created_by: Mapped[UUID | None] = mapped_column(sort_order=91)
    modified_at: Mapped[datetime] = mapped_column(sort_order=92)
    modified_by: Mapped[UUID | None] = mapped_column(sort_order=93)

    def __init__(self, **values: Any) -> None:
        """A new record. Columns go straight to where they are kept: nothing listens to what a new record is made of, and
        SQLAlchemy's own way of setting forty attributes takes a fifth of the time of an import. Raises TypeError."""
        kept, columns = self.__dict__, _columns_of(type(self))
        for name, value in values.items():
            if name in columns:
                kept[name] = value
            elif not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no {name}")
            elif value is not None:
                setattr(self, name, value)

    @classmethod
    def entity(cls) -> str:
        """The singular snake_case name, as in events, references and privileges."""
        return cls.__tablename__

    @classmethod
    def from_row(cls, values: dict[str, Any]) -> Self:
        """An instance with the values of a row, outside any session."""
        record: Self = cls.__mapper__.class_manager.new_instance()  # type: ignore[attr-defined]  # set by the declarative base
        record.__dict__.update(values)
        return record


class OwnedRecord(Record):
    """A record with an owner: a user or a team, and the owner's business unit at the time of assignment."""

    owner_type: Mapped[str] = mapped_column(String(8), sort_order=-18)
    owner_id: Mapped[UUID] = mapped_column(sort_order=-17)
    business_unit_id: Mapped[UUID] = mapped_column(sort_order=-16)


_NOTHING: Mapping[str, str] = {}
DepthOf = Callable[[str, Privilege], Depth]
"""How deep the caller has a privilege on an entity."""


class Stateful:
    """A record whose status changes only through the moves of its lifecycle."""

    lifecycle: ClassVar[Lifecycle]
    status: Mapped[str] = mapped_column(String(24), sort_order=-10)
    status_reason: Mapped[str] = mapped_column(String(40), sort_order=-9)

    @property
    def state(self) -> str:
        """``status/status_reason``."""
        return f"{self.status}/{self.status_reason}"

    @classmethod
    def ruled_out(cls, values: Mapping[str, Any]) -> Mapping[str, str]:
        """The moves that the fields of a row rule out in any state, each with the reason to show."""
        return _NOTHING

    @classmethod
    def may_be_moved(cls, depth: DepthOf, values: Mapping[str, Any], *, writes: bool) -> bool:
        """Whether the caller may run the commands that a row's state allows. It is whoever may write it (``writes``), unless the
        entity says otherwise."""
        return writes

    @classmethod
    def moves_from(cls, values: Mapping[str, Any]) -> list[str]:
        """The moves possible for a row as it is, for ``allowed_actions`` and for ``require``."""
        return cls._possible(values)[0]

    @classmethod
    def _possible(cls, values: Mapping[str, Any]) -> tuple[list[str], Mapping[str, str]]:
        """The moves possible for a row, and those that its state has and its fields rule out, with the reason of each."""
        moves, out = cls.lifecycle.actions(f"{values['status']}/{values['status_reason']}"), cls.ruled_out(values)
        if not out:
            return moves, out
        # Where the state itself has no such move, that is the reason.
        return [move for move in moves if move not in out], {move: out[move] for move in moves if move in out}

    def require(self, action: str) -> None:
        """409 ``illegal-transition`` unless the record may move so now: names the moves it has, and why not this one."""
        possible, out = self._possible(self.__dict__)
        if action not in possible:
            raise IllegalTransition(action, self.status, self.status_reason, possible, out.get(action))

    def move(self, action: str, reason: str | None = None) -> None:
        """Take one step of the lifecycle, if the record may."""
        self.require(action)
        self.status, self.status_reason = self.lifecycle.after(action, self.state, reason)

    def follow(self, action: str, reason: str | None = None) -> None:
        """Take a step that time or a command on another record makes."""
        self.status, self.status_reason = self.lifecycle.after(action, self.state, reason)

    def enter_lifecycle(self, state: str | None = None) -> None:
        """Start where records of this kind start, or in another state of the lifecycle."""
        status, _, reason = (state or self.lifecycle.initial).partition("/")
        self.__dict__.update(status=status, status_reason=reason)


class Mergeable(OwnedRecord, Stateful):
    """A record whose place another of its kind may take. Its row stays, to say who did: reads answer 410 ``merged``, lists
    leave it out, and what referred to it moves to the survivor (``crm_kit.records.merging``, ``crm_kit.records.moving``)."""

    merges_from: ClassVar[frozenset[str]]
    """Statuses in which a record may be merged into another."""
    survives_in: ClassVar[frozenset[str]]
    """Statuses in which a record may be the survivor of a merge."""

    survivor_id: Mapped[UUID | None] = mapped_column(sort_order=89)

    def merge_into(self, survivor: "Mergeable") -> None:
        """Mark the record as merged into the survivor. It then refers to no other record, so that it blocks no deletion."""
        self.survivor_id = survivor.id
        for column in self.links():
            setattr(self, column, None)

    @classmethod
    def links(cls) -> tuple[str, ...]:
        """The columns that refer to other records of the same service."""
        columns = cls.__table__.c
        return tuple(str(one.key) for one in columns if one.foreign_keys and one.computed is None)


def survivor_of(record: Record) -> UUID | None:
    """The direct survivor of this record; None if it was not merged."""
    return record.survivor_id if isinstance(record, Mergeable) else None
