"""Commands that begin and end removals.

A user, team or API client that owns records cannot simply be deleted. Identity asks the services that own records by an event.
Each of them answers with an event how many records it has, or moves them to the recipient. When all have answered, identity
deletes the principal, or refuses to.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import select

from crm_contracts.access import Privilege
from crm_contracts.catalogue import entity_named
from crm_contracts.identity import PrincipalRemovalCreated, PrincipalRemovalRefused
from crm_contracts.sentences import Named, entity_word, said
from crm_identity.removal.domain import OPEN, SUPERSEDED, asked, is_stuck
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.removal.rights import deletes, not_assignable
from crm_kit.errors import DomainError, Forbidden, InvalidValue
from crm_kit.work.outbox import WAKE_CHANNEL
from crm_kit.work.uow import UnitOfWork, system_principal

TRANSFER = "transfer_to"

RECIPIENTS = """
select 'user', status = 'active' from user_account where id = $1 union all select 'team', true from team where id = $1
"""


async def begin_removal(
    uow: UnitOfWork, kind: str, principal_id: UUID, name: str, transfer_to: UUID | None
) -> PrincipalRemoval:
    """Begin the removal of a locked user, team or API client, or return the one that has begun already.

    403 unless the caller may assign every record of the organisation, because the records get another owner. 409
    ``being-removed`` while its records move to somebody else. 422 for a recipient who cannot own records, and without one for
    a caller who removes itself. A removal that a service has not answered for a minute is replaced.
    """
    _require_assign(uow)
    if transfer_to is None and principal_id == uow.principal.id:
        raise InvalidValue(
            TRANSFER,
            "unknown-reference",
            "Name a user or team: records that turn up later need an owner other than you.",
        )
    recipient = None if transfer_to is None else await _require_recipient(uow, principal_id, transfer_to)
    system = await _as_service(uow)
    begun = await open_removal(uow, principal_id)
    if begun is not None:
        stuck = is_stuck(begun.services, uow.now - begun.created_at)
        if not stuck and begun.transfer == (recipient is not None) and transfer_to in (None, begun.recipient_id):
            return begun
        if begun.transfer and not stuck:
            raise being_removed(begun)
        begun = await system.load(PrincipalRemoval, begun.id)
        if begun.status in OPEN:
            begun.refuse(SUPERSEDED)
            system.emit(begun, PrincipalRemovalRefused)
            await system.flush()
    recipient_type, recipient_id = recipient or (uow.principal.kind, uow.principal.id)
    removal = PrincipalRemoval(
        principal_type=kind,
        principal_id=principal_id,
        principal_name=name,
        transfer=recipient is not None,
        recipient_type=recipient_type,
        recipient_id=recipient_id,
        services=asked(),
    )
    removal.enter_lifecycle()
    if recipient:
        removal.follow("transfer")
    system.add(removal, PrincipalRemovalCreated)
    await system.flush()
    uow.wakes(WAKE_CHANNEL)
    return removal


async def cancel_removal(uow: UnitOfWork, removal_id: UUID) -> PrincipalRemoval:
    """End a removal before the deletion: the user, team or API client stays. Records that have moved stay where they are.

    403 unless the caller may delete the principal and assign every record of the organisation. 409 ``illegal-transition`` if
    the removal has ended.
    """
    known = await uow.read(PrincipalRemoval, removal_id)
    uow.principal.require(deletes(known.principal_type), Privilege.DELETE)
    _require_assign(uow)
    system = await _as_service(uow)
    removal = await system.load(PrincipalRemoval, removal_id)
    removal.cancel()
    system.emit(removal, PrincipalRemovalRefused)
    await system.flush()
    uow.wakes(WAKE_CHANNEL)
    return removal


async def open_removal(uow: UnitOfWork, principal_id: UUID) -> PrincipalRemoval | None:
    """Return the removal of this principal that has not ended."""
    table = PrincipalRemoval.__table__
    found = select(table).where(table.c.principal_id == principal_id, table.c.status.in_(sorted(OPEN)))
    row = (await uow.execute(found)).mappings().one_or_none()
    return None if row is None else PrincipalRemoval.from_row(dict(row))


async def refuse_while_removed(uow: UnitOfWork, principal_id: UUID) -> None:
    """Raise 409 ``being-removed`` while the records of this principal move to another owner."""
    begun = await open_removal(uow, principal_id)
    if begun is not None and begun.transfer:
        raise being_removed(begun)


def being_removed(removal: PrincipalRemoval) -> DomainError:
    """Return the error 409 for a principal whose records move to another owner."""
    return DomainError(
        "being-removed",
        said(
            "The records of this {kind} are moving to another owner, and then it is deleted. Wait until the "
            "removal has ended.",
            kind=_word(removal),
        ),
        members={"removal": _href(removal)},
    )


def owns_records(removal: PrincipalRemoval) -> DomainError:
    """Return the error 409 for a principal that owns records, with their number in each service."""
    word = _word(removal)
    owned = [{"service": part["service"], "records": part["owned"]} for part in removal.services if part["owned"]]
    records = sum(part["records"] for part in owned)
    if removal.principal_type == "team":
        detail = said(
            "This {kind} owns {records} records. Name their new owner with transfer_to.", kind=word, records=records
        )
    else:
        detail = said(
            "This {kind} owns {records} records. Name their new owner with transfer_to. To keep them with this {kind}, disable it"
            " instead.",
            kind=word,
            records=records,
        )
    return DomainError(
        "owns-records",
        detail,
        members={"owned": owned, "removal": _href(removal)},
    )


def _href(removal: PrincipalRemoval) -> str:
    return entity_named(PrincipalRemoval.entity()).path_of(removal.id)


def _word(removal: PrincipalRemoval) -> Named:
    if removal.principal_type == "client":
        return Named("API client", "entity", "api_client")
    return entity_word(removal.principal_type)


def _require_assign(uow: UnitOfWork) -> None:
    if (entity := not_assignable(uow.principal.depth)) is not None:
        raise Forbidden(Privilege.ASSIGN.value, entity, everywhere=True)


async def _require_recipient(uow: UnitOfWork, principal_id: UUID, recipient_id: UUID) -> tuple[str, UUID]:
    if recipient_id == principal_id:
        raise InvalidValue(TRANSFER, "unknown-reference", "Name another user or team: this one is deleted.")
    found: Sequence[Any] = (await (await uow.connection()).exec_driver_sql(RECIPIENTS, (recipient_id,))).all()
    if not found:
        raise InvalidValue(TRANSFER, "unknown-reference", "Send the id of an existing user or team.")
    kind, active = tuple(found[0])
    if not active or await open_removal(uow, recipient_id) is not None:
        raise InvalidValue(
            TRANSFER,
            "inactive-reference",
            said("Choose another {kind}: this one is not active.", kind=entity_word(kind)),
        )
    return kind, recipient_id


async def _as_service(uow: UnitOfWork) -> UnitOfWork:
    """Return a unit of work in the same transaction that may write removals, which no role grants."""
    await uow.flush()
    return UnitOfWork(
        uow.runtime,
        system_principal(uow.runtime.service),
        replace(uow.cause, actor=uow.cause.actor or uow.principal.actor),
        conn=await uow.transaction(),
    )
