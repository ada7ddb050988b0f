"""Commands on business units. Rights extend down the tree, so it must remain a tree."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.identity import BusinessUnitCreated, BusinessUnitDeleted, BusinessUnitUpdated
from crm_identity.business_unit.model import BusinessUnit
from crm_identity.business_unit.schemas import BusinessUnitCreate, BusinessUnitUpdate
from crm_identity.organization.model import get_alone, hold_access
from crm_identity.reach.authority import changing_rights
from crm_kit.errors import DomainError, InvalidValue
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.usage import refuse_in_use

ABOVE = (
    "with recursive above (id, parent_id) as (select id, parent_id from business_unit where id = $1"
    " union select u.id, u.parent_id from business_unit u join above on u.id = above.parent_id) select id from above"
)

HOLDERS_IN = (
    "select id from user_account where business_unit_id = any($1::uuid[])"
    " union all select id from api_client where business_unit_id = any($1::uuid[])"
)


async def create_unit(uow: UnitOfWork, body: BusinessUnitCreate) -> BusinessUnit:
    """Create a unit below another one."""
    await uow.start(BusinessUnit)
    await hold_access(uow)
    await require_unit(uow, body.parent_id, "/parent_id")
    return uow.add(BusinessUnit(name=body.name, parent_id=body.parent_id), BusinessUnitCreated)


async def update_unit(uow: UnitOfWork, unit_id: UUID, body: BusinessUnitUpdate) -> BusinessUnit:
    """Rename or move a unit. Tokens stay valid: they name the unit, and every service follows the tree.

    Holders of a *deep* privilege above the new place reach the unit's rows after the move, so the caller must reach
    these rows.
    """
    unit, _ = await get_alone(uow, BusinessUnit, unit_id, Privilege.WRITE)
    moves = "parent_id" in body.model_fields_set and body.parent_id != unit.parent_id
    if moves:
        await _require_place(uow, unit, body.parent_id)
    async with changing_rights(uow, also=await _newly_above(uow, unit_id, body.parent_id) if moves else ()):
        if "name" in body.model_fields_set:
            unit.name = body.name
        if moves:
            unit.parent_id = body.parent_id
        uow.emit_if_changed(unit, BusinessUnitUpdated)
    return unit


async def delete_unit(uow: UnitOfWork, unit_id: UUID) -> None:
    """Delete a unit that no principal and no record belongs to. The root cannot be deleted."""
    unit, _ = await get_alone(uow, BusinessUnit, unit_id, Privilege.DELETE)
    if unit.parent_id is None:
        raise DomainError("not-deletable", "The root unit cannot be deleted, because all other units are below it.")
    await refuse_in_use(uow, unit)
    uow.remove(unit, BusinessUnitDeleted)


async def require_unit(uow: UnitOfWork, unit_id: UUID, pointer: str) -> list[UUID]:
    """Return the ids of the unit and all units above it, root last. 422 if there is no such unit."""
    above = list((await (await uow.connection()).exec_driver_sql(ABOVE, (unit_id,))).scalars())
    if not above:
        raise InvalidValue(pointer, "unknown-reference", "There is no such business unit.")
    return above


async def _newly_above(uow: UnitOfWork, unit_id: UUID, parent_id: UUID | None) -> list[UUID]:
    """Return the users and API clients of the units that the move puts above the unit."""
    assert parent_id is not None
    above = set(await require_unit(uow, parent_id, "/parent_id")) - set(await require_unit(uow, unit_id, ""))
    found = await (await uow.connection()).exec_driver_sql(HOLDERS_IN, (list(above),))
    return list(found.scalars())


async def _require_place(uow: UnitOfWork, unit: BusinessUnit, parent_id: UUID | None) -> None:
    if unit.parent_id is None:
        raise InvalidValue("/parent_id", "root-unit", "Leave parent_id out: the root unit has no parent.")
    if parent_id is None:
        raise InvalidValue("/parent_id", "root-unit", "Send the id of a parent unit: only the root unit has none.")
    if unit.id in await require_unit(uow, parent_id, "/parent_id"):
        raise InvalidValue("/parent_id", "cycle", "Send a parent that is neither this unit nor below it.")
