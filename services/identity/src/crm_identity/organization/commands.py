"""Commands on the organisation's settings."""

from crm_contracts.access import Privilege
from crm_contracts.identity import OrganizationUpdated
from crm_identity.organization.model import ORGANIZATION_ID, OrganizationSettings
from crm_identity.organization.schemas import OrganizationUpdate
from crm_kit.errors import InvalidValue
from crm_kit.records.patching import apply
from crm_kit.work.uow import UnitOfWork


async def update_organization(uow: UnitOfWork, body: OrganizationUpdate) -> OrganizationSettings:
    """Change the organisation's settings."""
    organization = await uow.get(OrganizationSettings, ORGANIZATION_ID, Privilege.WRITE)
    values = body.onto(organization)
    if values.get("base_currency", organization.base_currency) != organization.base_currency:
        # Amounts in base currency are stored in all services, and identity does not know them.
        raise InvalidValue("/base_currency", "base-currency-fixed", "Leave this out: it cannot change.")
    apply(organization, values)
    return uow.emit_if_changed(organization, OrganizationUpdated)
