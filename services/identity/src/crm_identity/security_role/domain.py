"""The default roles, and the rules for their privileges on any entity, and for any right.

No entity is named here: the entities of a new service get privileges by the same rules.
"""

from dataclasses import dataclass
from uuid import UUID

from crm_contracts.access import Depth, Privilege, encode
from crm_contracts.catalogue import Entity, all_entities
from crm_contracts.rights import RIGHTS, Right

ADMINISTRATOR_ID = UUID("0190a000-0000-7000-8000-000000000107")
AUDITOR_ID = UUID("0190a000-0000-7000-8000-000000000108")

OWNED_BY_NOBODY = frozenset(entity.name for entity in all_entities() if entity.announcement)
"""Entities that exist only in events, and that only services write. No role can grant them."""

KEPT_FROM_STAFF = frozenset({"security_role", "api_client", "principal_removal", "inbound_mail"})
"""Reference data about rights, and the mail of everybody as it arrived, for administrators and auditors only."""


Grantable = Entity | Right
"""What a role grants privileges on."""


def grantable() -> tuple[Grantable, ...]:
    """Return everything that a role can grant privileges on."""
    return (*(entity for entity in all_entities() if entity.name not in OWNED_BY_NOBODY), *RIGHTS)


def privileges_on(what: Grantable) -> tuple[Privilege, ...]:
    """Return the privileges that mean something: of a right, only write does."""
    return (Privilege.WRITE,) if isinstance(what, Right) else tuple(Privilege)


@dataclass(frozen=True, slots=True)
class DefaultRole:
    """A default role: staff of one department, or its manager."""

    id: UUID
    name: str
    service: str = ""
    leads: bool = False


def _role(number: int, name: str, service: str = "", *, leads: bool = False) -> DefaultRole:
    return DefaultRole(UUID(f"0190a000-0000-7000-8000-{number:012d}"), name, service, leads)


DEFAULT_ROLES = (
    _role(101, "Salesperson", "sales"),
    _role(102, "Sales manager", "sales", leads=True),
    _role(103, "Marketer", "marketing"),
    _role(104, "Marketing manager", "marketing", leads=True),
    _role(105, "Service agent", "service"),
    _role(106, "Service manager", "service", leads=True),
    DefaultRole(ADMINISTRATOR_ID, "Administrator"),
    DefaultRole(AUDITOR_ID, "Auditor"),
)


def default_depths(role: DefaultRole, entity: Grantable) -> dict[Privilege, Depth]:
    """Return the depths that a default role has on an entity.

    Staff can change their own records and read those of their unit. Managers can change everything in their unit and
    below. Both can read the records of other departments to the same depth, and the organisation's reference data. Only
    managers can change the reference data of their department. Only they have the rights of their department.
    """
    if role.id == ADMINISTRATOR_ID:
        return dict.fromkeys(privileges_on(entity), Depth.ORGANIZATION)
    if isinstance(entity, Right):
        return {Privilege.WRITE: Depth.DEEP} if role.leads and entity.service == role.service else {}
    if role.id == AUDITOR_ID:
        return {Privilege.READ: Depth.ORGANIZATION}
    if not entity.owned:
        return _reference_depths(role, entity)
    reads = Depth.DEEP if role.leads else Depth.BUSINESS_UNIT
    if entity.service not in (role.service, "activities"):
        return {Privilege.READ: reads}
    works = Depth.DEEP if role.leads else Depth.USER
    return {**dict.fromkeys(Privilege, works), Privilege.READ: reads}


def _reference_depths(role: DefaultRole, entity: Entity) -> dict[Privilege, Depth]:
    if entity.name in KEPT_FROM_STAFF:
        return {}
    read = {Privilege.READ: Depth.ORGANIZATION}
    if role.leads and entity.service == role.service:
        return {**dict.fromkeys(Privilege, Depth.ORGANIZATION), Privilege.ASSIGN: Depth.NONE}
    return read


def default_privileges(role: DefaultRole, entities: tuple[Grantable, ...]) -> dict[str, dict[str, str]]:
    """Return the role's privileges as in the contract, without entities and rights on which it has none."""
    privileges = {}
    for entity in entities:
        depths = default_depths(role, entity)
        if entity.name not in OWNED_BY_NOBODY and encode(depths) != "00000":
            privileges[entity.name] = {
                privilege.value: depths.get(privilege, Depth.NONE).name.lower() for privilege in Privilege
            }
    return privileges
