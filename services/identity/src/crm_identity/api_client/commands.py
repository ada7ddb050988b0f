"""Commands on API clients."""

from uuid import UUID

from crm_contracts.access import Privilege
from crm_contracts.identity import (
    ApiClientActivated,
    ApiClientCreated,
    ApiClientDeactivated,
    ApiClientDeleted,
    ApiClientUpdated,
)
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.api_client.model import ApiClient
from crm_identity.api_client.schemas import ApiClientCreate, ApiClientUpdate
from crm_identity.auth.client_secrets import keep_secret, new_secret
from crm_identity.business_unit.commands import require_unit
from crm_identity.organization.model import Since, get_alone, hold_access
from crm_identity.reach.authority import changing_rights, refuse_taking_over
from crm_identity.reach.loading import leave_unit
from crm_identity.removal.commands import begin_removal, refuse_while_removed
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.security_role.grants import rights_of_roles
from crm_kit.records.patching import Deactivation, apply, require_status
from crm_kit.store.record import new_id
from crm_kit.work.uow import UnitOfWork

RIGHTS = ("business_unit_id", "role_ids")
"""Fields that tokens contain. Changing one invalidates older tokens."""


async def create_client(uow: UnitOfWork, body: ApiClientCreate) -> tuple[ApiClient, str]:
    """Create an API client. Return it with its secret, which cannot be read again."""
    await uow.start(ApiClient)
    secret, secret_hash = await new_secret()
    await hold_access(uow)
    unit_id = body.business_unit_id or uow.principal.unit
    await require_unit(uow, unit_id, "/business_unit_id")
    role_ids = sorted(set(body.role_ids))
    await rights_of_roles(uow, role_ids)
    client = ApiClient(id=new_id(), name=body.name, business_unit_id=unit_id, role_ids=role_ids)
    async with changing_rights(uow, client.id):
        uow.add(client, ApiClientCreated)
    await keep_secret(await uow.connection(), client.id, secret_hash, uow.now)
    return client, secret


async def update_client(uow: UnitOfWork, client_id: UUID, body: ApiClientUpdate) -> ApiClient:
    """Change an active client. A changed unit or role invalidates its tokens."""
    client, since = await get_alone(uow, ApiClient, client_id, Privilege.WRITE)
    require_status(client, "active")
    before = {name: getattr(client, name) for name in RIGHTS}
    values = body.onto(client)
    if "business_unit_id" in values:
        await require_unit(uow, values["business_unit_id"], "/business_unit_id")
    if "role_ids" in values:
        values["role_ids"] = sorted(set(values["role_ids"]))
        await rights_of_roles(uow, values["role_ids"])
    async with changing_rights(uow, client_id):
        apply(client, values)
        uow.emit_if_changed(client, ApiClientUpdated)
        if client.business_unit_id != before["business_unit_id"]:
            await leave_unit(uow, client_id, before["business_unit_id"])
    if before != {name: getattr(client, name) for name in RIGHTS}:
        await _supersede(uow, client, since)
    return client


async def rotate_secret(uow: UnitOfWork, client_id: UUID) -> tuple[ApiClient, str]:
    """Replace the secret and invalidate the tokens issued for the old one.

    The record does not change, but the history contains the event.
    """
    uow.principal.require(ApiClient.entity(), Privilege.WRITE)
    secret, secret_hash = await new_secret()
    client, since = await get_alone(uow, ApiClient, client_id, Privilege.WRITE)
    # Whoever knows the secret can act as the client.
    await refuse_taking_over(uow, client_id)
    await keep_secret(await uow.connection(), client.id, secret_hash, uow.now)
    uow.emit(client, ApiClientUpdated)
    await _supersede(uow, client, since)
    return client, secret


async def activate_client(uow: UnitOfWork, client_id: UUID) -> ApiClient:
    """Activate a client. Its previous secret works again."""
    client, _ = await get_alone(uow, ApiClient, client_id, Privilege.WRITE)
    await refuse_while_removed(uow, client_id)
    async with changing_rights(uow, client_id):
        client.activate()
        uow.emit(client, ApiClientActivated)
    return client


async def deactivate_client(uow: UnitOfWork, client_id: UUID, body: Deactivation) -> ApiClient:
    """Deactivate a client: its tokens become invalid, and it gets no new ones."""
    client, since = await get_alone(uow, ApiClient, client_id, Privilege.WRITE)
    async with changing_rights(uow, client_id):
        client.deactivate()
        uow.emit(client, ApiClientDeactivated, reason=body.reason)
    await _supersede(uow, client, since)
    return client


async def delete_client(uow: UnitOfWork, client_id: UUID, transfer_to: UUID | None) -> PrincipalRemoval:
    """Begin to delete a client. With ``transfer_to``, it is deactivated until all records have their new owner."""
    client, since = await get_alone(uow, ApiClient, client_id, Privilege.DELETE)
    async with changing_rights(uow, client_id):
        removal = await begin_removal(uow, "client", client_id, client.name, transfer_to)
        deactivates = removal.transfer and client.status == "active"
        if deactivates:
            client.deactivate()
            uow.emit(client, ApiClientDeactivated, reason=None)
    if deactivates:
        await _supersede(uow, client, since)
    return removal


async def erase_client(uow: UnitOfWork, client_id: UUID, since: Since) -> None:
    """Delete a client that owns no records any more."""
    client = await uow.load(ApiClient, client_id)
    uow.remove(client, ApiClientDeleted)
    await _supersede(uow, client, since)


async def _supersede(uow: UnitOfWork, client: ApiClient, since: Since) -> None:
    await supersede_tokens(uow, [], since, clients=[client.id])
