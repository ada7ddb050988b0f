"""One record takes the place of another of its kind: who may, and which of the other's values it takes over."""

from collections.abc import Iterable, Set
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from crm_contracts.access import Privilege
from crm_contracts.types import Flag
from crm_kit.errors import IllegalTransition, InvalidValue, Merged, NotFound, UnknownReference
from crm_kit.store.record import Mergeable
from crm_kit.work.uow import UnitOfWork

M = TypeVar("M", bound=Mergeable)


class Merge(BaseModel):
    """Which record takes this one's place (Dataverse: Merge). An entity adds ``fields``: those that may be taken over."""

    model_config = ConfigDict(extra="forbid")

    into: UUID = Field(description="The survivor: another record of the same kind, one that you may write.")
    fill_empty: Flag = Field(
        False,
        description="Let the survivor take over, too, whatever it has not itself: what is null, false or an empty list "
        "there.",
    )


async def both(uow: UnitOfWork, entity: type[M], loser_id: UUID, into: UUID) -> tuple[M, M]:
    """The loser and the survivor, locked in the order of their ids, and checked.

    Of the loser it raises what every command raises (403, 404, 410, 412), and 409 ``illegal-transition``; for a survivor
    that is the same record, unknown, merged itself or not in a state to take anything on, 422 at ``/into``.
    """
    name = entity.entity()
    uow.principal.require(name, Privilege.WRITE)
    uow.principal.require(name, Privilege.DELETE)
    await uow.lock_all(entity, {loser_id, into})
    loser = await uow.get(entity, loser_id, Privilege.WRITE)
    await uow.get(entity, loser_id, Privilege.DELETE)
    label = name.replace("_", " ")
    if into == loser_id:
        raise InvalidValue(
            "/into", "merge-with-itself", f"Choose another {label}: a record cannot be merged into itself."
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
        raise InvalidValue("/into", "inactive-reference", f"Choose another {label}: this one is {survivor.status}.")
    return loser, survivor


def taken_over(loser: Mergeable, survivor: Mergeable, named: Set[str], fillable: Iterable[str]) -> dict[str, Any]:
    """The loser's values that the survivor shall have: those that were named, and the fillable ones it has not itself."""
    filled = {name for name in fillable if not getattr(survivor, name) and getattr(loser, name)}
    return {name: getattr(loser, name) for name in sorted(named | filled)}
