"""Merges one record into another of its kind: the checks, and the values that the survivor takes over."""

from collections.abc import Iterable, Set
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.access import Privilege
from crm_contracts.sentences import entity_word, said, status_word
from crm_contracts.types import Flag
from crm_kit.errors import IllegalTransition, InvalidValue, Merged, NotFound, UnknownReference
from crm_kit.store.record import Mergeable
from crm_kit.work.uow import UnitOfWork

M = TypeVar("M", bound=Mergeable)


class Merge(BaseModel):
    """The record into which this one is merged (Dataverse: Merge). An entity adds ``fields``, which may be taken over."""

    model_config = ConfigDict(extra="forbid")

    into: UUID = Field(description="The survivor: another record of the same kind, one that you may write.")
    fill_empty: Flag = Field(
        False,
        description="Let the survivor also take over the values that it lacks: those of its fields that are null, false or an "
        "empty list. Lines of a deal come with their price list. A first name is not combined with another last name.",
    )


async def both(uow: UnitOfWork, entity: type[M], loser_id: UUID, into: UUID) -> tuple[M, M]:
    """Lock the loser and the survivor in the order of their ids, check them, and return them.

    For the loser it raises 403, 404, 410 and 412 as every command does, and 409 ``illegal-transition``. For the survivor it
    raises 422 at ``/into`` if it is the same record, is unknown, was merged itself, or has a status in which it cannot survive.
    """
    name = entity.entity()
    uow.principal.require(name, Privilege.WRITE)
    uow.principal.require(name, Privilege.DELETE)
    await uow.lock_all(entity, {loser_id, into})
    loser = await uow.get(entity, loser_id, Privilege.WRITE)
    await uow.get(entity, loser_id, Privilege.DELETE)
    kind = entity_word(name)
    if into == loser_id:
        raise InvalidValue(
            "/into",
            "merge-with-itself",
            said("Choose another {kind}: a record cannot be merged into itself.", kind=kind),
        )
    try:
        survivor = await uow.get(entity, into, Privilege.WRITE)
    except NotFound:
        raise UnknownReference("/into", name) from None
    except Merged as merged:
        raise await uow.merged_reference(entity, merged, "/into") from None
    if loser.status not in loser.merges_from:
        raise IllegalTransition("merge", loser.status, loser.status_reason, loser.moves_from(loser.__dict__))
    if survivor.status not in survivor.survives_in:
        raise InvalidValue(
            "/into",
            "inactive-reference",
            said("Choose another {kind}: this one is {status}.", kind=kind, status=status_word(name, survivor.status)),
        )
    return loser, survivor


def taken_over(loser: Mergeable, survivor: Mergeable, named: Set[str], fillable: Iterable[str]) -> dict[str, Any]:
    """Return the values of the loser that the survivor takes over: the named ones, and the fillable ones that it lacks."""
    filled = {name for name in fillable if not getattr(survivor, name) and getattr(loser, name)}
    return {name: getattr(loser, name) for name in sorted(named | filled)}
