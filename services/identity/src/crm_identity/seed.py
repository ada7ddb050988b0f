"""The initial data of an installation: organisation, root unit, default roles, signing key, first administrator."""

import structlog
from pydantic import TypeAdapter, ValidationError
from sqlalchemy import insert, select

from crm_contracts.identity import (
    BusinessUnitCreated,
    OrganizationCreated,
    SecurityRoleCreated,
    SecurityRoleUpdated,
    UserCreated,
)
from crm_contracts.types import login_email
from crm_identity.access_change.commands import supersede_tokens
from crm_identity.auth.keys import ensure_signing_key
from crm_identity.auth.passwords import NewPassword, hash_password
from crm_identity.auth.sessions import keep_password
from crm_identity.auth.strength import refuse_guessable
from crm_identity.business_unit.model import ROOT_ID, BusinessUnit
from crm_identity.organization.model import ORGANIZATION_ID, OrganizationSettings, hold_access
from crm_identity.reach.authority import has_administrator
from crm_identity.security_role.domain import (
    ADMINISTRATOR_ID,
    DEFAULT_ROLES,
    Grantable,
    default_privileges,
    grantable,
)
from crm_identity.security_role.grants import clients_holding, holders_of
from crm_identity.security_role.model import SecurityRole, SeededEntity
from crm_identity.settings import settings_of
from crm_identity.user.model import User
from crm_kit.errors import InvalidValue, NotFound
from crm_kit.identifiers import ASCII_FOLD, fold
from crm_kit.work.uow import UnitOfWork

EMAIL_TAKEN = f"select exists (select from user_account where {ASCII_FOLD.format('email')} = $1)"  # noqa: S608  # a constant

log = structlog.get_logger(__name__)


async def seed(uow: UnitOfWork) -> None:
    """Insert what is missing. This runs after every migration. The new records emit events as usual."""
    conn = await uow.connection()
    await ensure_signing_key(conn, uow.runtime.settings.secret.get_secret_value())
    seeded = set((await uow.execute(select(SeededEntity.name))).scalars())
    if not seeded:
        _found_organization(uow)
        _make_roles(uow, grantable())
        await uow.flush()
    if news := tuple(one for one in grantable() if one.name not in seeded):
        if seeded:
            await _extend_roles(uow, news)
        await uow.execute(insert(SeededEntity).values([{"name": one.name} for one in news]))
    await restore_administrator_role(uow)
    await ensure_administrator(uow)


def _found_organization(uow: UnitOfWork) -> None:
    settings = settings_of(uow.runtime)
    organization = OrganizationSettings(
        id=ORGANIZATION_ID,
        name=settings.organization_name,
        time_zone=settings.time_zone,
        base_currency=settings.base_currency,
        country=settings.country,
        language=settings.language,
    )
    uow.add(organization, OrganizationCreated)
    uow.add(BusinessUnit(id=ROOT_ID, name=settings.organization_name, parent_id=None), BusinessUnitCreated)


def _make_roles(uow: UnitOfWork, entities: tuple[Grantable, ...]) -> None:
    for role in DEFAULT_ROLES:
        privileges = default_privileges(role, entities)
        uow.add(SecurityRole(id=role.id, name=role.name, privileges=privileges), SecurityRoleCreated)


async def _extend_roles(uow: UnitOfWork, entities: tuple[Grantable, ...]) -> None:
    """Give the remaining default roles their privileges on entities and rights that are new in this release."""
    since = await hold_access(uow)
    for default in DEFAULT_ROLES:
        try:
            role = await uow.load(SecurityRole, default.id)
        except NotFound:
            continue
        privileges = {**default_privileges(default, entities), **role.privileges}
        if privileges != role.privileges:
            role.privileges = privileges
            uow.emit(role, SecurityRoleUpdated)
            clients = await clients_holding(uow, default.id)
            await supersede_tokens(uow, await holders_of(uow, default.id), since, clients=clients)


async def restore_administrator_role(uow: UnitOfWork) -> None:
    """Restore all privileges on all entities to the administrator role.

    An earlier release allowed changing and deleting it. Nobody else could give what it lacks.
    """
    since = await hold_access(uow)
    default = next(role for role in DEFAULT_ROLES if role.id == ADMINISTRATOR_ID)
    privileges = default_privileges(default, grantable())
    try:
        role = await uow.load(SecurityRole, ADMINISTRATOR_ID)
    except NotFound:
        taken = select(SecurityRole.id).where(SecurityRole.name == default.name)
        known = (await uow.execute(taken)).first() is not None
        name = f"{default.name} (all privileges)" if known else default.name
        uow.add(SecurityRole(id=default.id, name=name, privileges=privileges), SecurityRoleCreated)
        return
    if role.privileges != privileges:
        role.privileges = privileges
        uow.emit(role, SecurityRoleUpdated)
        clients = await clients_holding(uow, default.id)
        await supersede_tokens(uow, await holders_of(uow, default.id), since, clients=clients)


async def ensure_administrator(uow: UnitOfWork) -> None:
    """Create the administrator of CRM_ADMIN_EMAIL if no user who can log in could change rights."""
    settings = settings_of(uow.runtime)
    conn = await uow.connection()
    password = settings.admin_password.get_secret_value()
    if not settings.admin_email or not password:
        return
    if await has_administrator(uow):
        return
    try:
        TypeAdapter(NewPassword).validate_python(password)
        await refuse_guessable("", password, (settings.admin_email, settings.organization_name))
    except (ValidationError, InvalidValue):
        # A weak password is accepted: a refusal would leave an installation that nobody can log in to.
        log.warning("CRM_ADMIN_PASSWORD is short or easy to guess; change it after the first log-in")
    email = login_email(settings.admin_email)
    taken = await conn.exec_driver_sql(EMAIL_TAKEN, (fold(email),))
    if taken.scalar_one():
        log.warning("nobody who can log in is an administrator; run: crm users restore ADDRESS")
        return
    administrator = User(
        email=email,
        name="Administrator",
        business_unit_id=ROOT_ID,
        team_ids=[],
        role_ids=[ADMINISTRATOR_ID],
    )
    uow.add(administrator, UserCreated)
    await uow.flush()
    await keep_password(conn, administrator.id, await hash_password(password), uow.now)
