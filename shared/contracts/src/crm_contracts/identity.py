"""Identity: users, teams, business units, roles and API clients."""

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from pydantic import Field

from .access import EntityPrivileges
from .catalogue import Entity, Event
from .records import ActiveStatus, RecordModel
from .removals import PrincipalRemovalRecord
from .types import CountryCode, CurrencyCode, Email, EntityName, Open, Personal, Principal, ShortText, UtcDatetime


class UserStatus(StrEnum):
    """States of a user. A disabled user cannot log in. Each state has one reason with the same name."""

    ACTIVE = "active"
    DISABLED = "disabled"


class UserRecord(RecordModel):
    """A person who works with the CRM."""

    status: Open[UserStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[UserStatus] = Field(description="Detail of the state; the same word.")
    email: Personal[Email] = Field(description="E-mail address and login, domain in lower case; unique.")
    name: Personal[ShortText] = Field(description="Name, 1 to 200 characters.", examples=["Grace Hopper"])
    business_unit_id: UUID = Field(description="Business unit of the user.")
    team_ids: list[UUID] = Field(description="Teams the user is a member of.")
    role_ids: list[UUID] = Field(description="Security roles of the user. The roles of the user's teams apply too.")
    locale: str | None = Field(description="BCP 47 language tag.", examples=["de-AT"])
    time_zone: str | None = Field(
        description="IANA time zone; null for the organisation's.", examples=["Europe/Vienna"]
    )


class TeamRecord(RecordModel):
    """A group of users that can own records."""

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Key accounts"])
    business_unit_id: UUID = Field(description="Business unit of the team.")
    role_ids: list[UUID] = Field(description="Security roles that every member gets.")


class BusinessUnitRecord(RecordModel):
    """A node of the organisation's tree."""

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Vienna"])
    parent_id: UUID | None = Field(description="Parent unit; null for the root.")


class SecurityRoleRecord(RecordModel):
    """The privileges of the users with this role."""

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Salesperson"])
    privileges: dict[EntityName, EntityPrivileges] = Field(
        description="Depth of each privilege, by entity. A role grants nothing on an entity that is not listed.",
        examples=[{"lead": {"create": "user", "read": "deep", "write": "user", "delete": "none", "assign": "none"}}],
    )


class ApiClientRecord(RecordModel):
    """Another system that logs in with client credentials. Its secret is shown only once."""

    status: Open[ActiveStatus] = Field(description="State; changes only through commands.")
    status_reason: Open[ActiveStatus] = Field(description="Detail of the state; the same word.")
    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Data warehouse"])
    business_unit_id: UUID = Field(description="Business unit of the client.")
    role_ids: list[UUID] = Field(description="Security roles given to the client.")


class OrganizationRecord(RecordModel):
    """The organisation that this installation serves; there is one record."""

    name: ShortText = Field(description="Name, 1 to 200 characters.", examples=["Analytical Engines Ltd"])
    time_zone: str = Field(description="IANA time zone for all dates, due dates and overdue dates.")
    base_currency: CurrencyCode = Field(
        description="Currency of all `_base` amounts; fixed once a record with an amount exists."
    )
    country: CountryCode = Field(
        description="ISO 3166-1 alpha-2 code of the country whose format national telephone numbers have."
    )
    language: str = Field(description="BCP 47 language tag.", examples=["en"])


class AccessChangeRecord(RecordModel):
    """A revocation of all tokens that were issued to these principals before a moment."""

    principals: list[Principal] = Field(
        min_length=1,
        max_length=500,
        description="Principals whose access changed, 1 to 500. More principals are split into several records.",
    )
    not_before: UtcDatetime = Field(
        description="Tokens issued before this time are refused if they or this record have no sequence."
    )
    sequence: int | None = Field(
        default=None,
        ge=0,
        description="Tokens with a smaller `seq` are refused. It only grows, even if the clock of identity goes back.",
        json_schema_extra={"x-since": "1.1.0"},
    )


USER = Entity(service="identity", name="user", collection="users", record=UserRecord, owned=False)
TEAM = Entity(service="identity", name="team", collection="teams", record=TeamRecord, owned=False)
BUSINESS_UNIT = Entity(
    service="identity", name="business_unit", collection="business-units", record=BusinessUnitRecord, owned=False
)
SECURITY_ROLE = Entity(
    service="identity", name="security_role", collection="security-roles", record=SecurityRoleRecord, owned=False
)
API_CLIENT = Entity(
    service="identity",
    name="api_client",
    collection="api-clients",
    record=ApiClientRecord,
    owned=False,
    label="API client",
)
ORGANIZATION = Entity(
    service="identity",
    name="organization",
    collection="settings/organization",
    record=OrganizationRecord,
    owned=False,
    setting=True,
)
ACCESS_CHANGE = Entity(
    service="identity",
    name="access_change",
    collection="access-changes",
    record=AccessChangeRecord,
    owned=False,
    announcement=True,
)
PRINCIPAL_REMOVAL = Entity(
    service="identity",
    name="principal_removal",
    collection="principal-removals",
    record=PrincipalRemovalRecord,
    owned=False,
    named="principal_name",
    label="Removal",
)


class UserEvent(Event):
    """Something happened to a user."""

    entity: ClassVar[Entity] = USER
    record: UserRecord


class UserCreated(UserEvent):
    """A user was created."""

    type: ClassVar[str] = "crm.identity.user.created.v1"


class UserUpdated(UserEvent):
    """A user changed."""

    type: ClassVar[str] = "crm.identity.user.updated.v1"


class UserDeleted(UserEvent):
    """A user was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.identity.user.deleted.v1"


class UserDisabled(UserEvent):
    """A user may no longer log in. Existing tokens are refused within two seconds."""

    type: ClassVar[str] = "crm.identity.user.disabled.v1"


class UserEnabled(UserEvent):
    """A disabled user may log in again."""

    type: ClassVar[str] = "crm.identity.user.enabled.v1"


class UserSnapshot(UserEvent):
    """The current state of a user, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.user.snapshot.v1"


class TeamEvent(Event):
    """Something happened to a team."""

    entity: ClassVar[Entity] = TEAM
    record: TeamRecord


class TeamCreated(TeamEvent):
    """A team was created."""

    type: ClassVar[str] = "crm.identity.team.created.v1"


class TeamUpdated(TeamEvent):
    """A team changed."""

    type: ClassVar[str] = "crm.identity.team.updated.v1"


class TeamDeleted(TeamEvent):
    """A team was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.identity.team.deleted.v1"


class TeamSnapshot(TeamEvent):
    """The current state of a team, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.team.snapshot.v1"


class BusinessUnitEvent(Event):
    """Something happened to a business unit."""

    entity: ClassVar[Entity] = BUSINESS_UNIT
    record: BusinessUnitRecord


class BusinessUnitCreated(BusinessUnitEvent):
    """A business unit was created."""

    type: ClassVar[str] = "crm.identity.business_unit.created.v1"


class BusinessUnitUpdated(BusinessUnitEvent):
    """A business unit changed."""

    type: ClassVar[str] = "crm.identity.business_unit.updated.v1"


class BusinessUnitDeleted(BusinessUnitEvent):
    """A business unit was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.identity.business_unit.deleted.v1"


class BusinessUnitSnapshot(BusinessUnitEvent):
    """The current state of a business unit, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.business_unit.snapshot.v1"


class SecurityRoleEvent(Event):
    """Something happened to a security role."""

    entity: ClassVar[Entity] = SECURITY_ROLE
    record: SecurityRoleRecord


class SecurityRoleCreated(SecurityRoleEvent):
    """A security role was created."""

    type: ClassVar[str] = "crm.identity.security_role.created.v1"


class SecurityRoleUpdated(SecurityRoleEvent):
    """A security role changed."""

    type: ClassVar[str] = "crm.identity.security_role.updated.v1"


class SecurityRoleDeleted(SecurityRoleEvent):
    """A security role was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.identity.security_role.deleted.v1"


class SecurityRoleSnapshot(SecurityRoleEvent):
    """The current state of a security role, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.security_role.snapshot.v1"


class ApiClientEvent(Event):
    """Something happened to an API client."""

    entity: ClassVar[Entity] = API_CLIENT
    record: ApiClientRecord


class ApiClientCreated(ApiClientEvent):
    """An API client was created."""

    type: ClassVar[str] = "crm.identity.api_client.created.v1"


class ApiClientUpdated(ApiClientEvent):
    """An API client changed."""

    type: ClassVar[str] = "crm.identity.api_client.updated.v1"


class ApiClientDeleted(ApiClientEvent):
    """An API client was deleted; `record` is its last content at version + 1."""

    type: ClassVar[str] = "crm.identity.api_client.deleted.v1"


class ApiClientActivated(ApiClientEvent):
    """An API client may log in again."""

    type: ClassVar[str] = "crm.identity.api_client.activated.v1"


class ApiClientDeactivated(ApiClientEvent):
    """An API client may no longer log in."""

    type: ClassVar[str] = "crm.identity.api_client.deactivated.v1"
    reason: ShortText | None = Field(description="Why, at most 200 characters.")


class ApiClientSnapshot(ApiClientEvent):
    """The current state of an API client, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.api_client.snapshot.v1"


class OrganizationEvent(Event):
    """Something happened to the organisation."""

    entity: ClassVar[Entity] = ORGANIZATION
    record: OrganizationRecord


class OrganizationCreated(OrganizationEvent):
    """The organisation was set up."""

    type: ClassVar[str] = "crm.identity.organization.created.v1"


class OrganizationUpdated(OrganizationEvent):
    """The organisation changed."""

    type: ClassVar[str] = "crm.identity.organization.updated.v1"


class OrganizationSnapshot(OrganizationEvent):
    """The current state of the organisation, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.organization.snapshot.v1"


class AccessChangeEvent(Event):
    """Something happened to the access of principals."""

    entity: ClassVar[Entity] = ACCESS_CHANGE
    record: AccessChangeRecord


class AccessChangeCreated(AccessChangeEvent):
    """Roles, teams, unit or status of principals changed. Their earlier tokens are refused."""

    type: ClassVar[str] = "crm.identity.access_change.created.v1"


class AccessChangeSnapshot(AccessChangeEvent):
    """The current state of an access change, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.access_change.snapshot.v1"


class PrincipalRemovalEvent(Event):
    """Something happened to a removal."""

    entity: ClassVar[Entity] = PRINCIPAL_REMOVAL
    record: PrincipalRemovalRecord


class PrincipalRemovalCreated(PrincipalRemovalEvent):
    """Somebody asked to delete a user, team or API client. Each service counts its records, or moves them if it is `moving`."""

    type: ClassVar[str] = "crm.identity.principal_removal.created.v1"


class PrincipalRemovalUpdated(PrincipalRemovalEvent):
    """A service has counted or moved records."""

    type: ClassVar[str] = "crm.identity.principal_removal.updated.v1"


class PrincipalRemovalRefused(PrincipalRemovalEvent):
    """The user, team or API client was not deleted; `reason` says why. Services end their handovers."""

    type: ClassVar[str] = "crm.identity.principal_removal.refused.v1"


class PrincipalRemovalCompleted(PrincipalRemovalEvent):
    """The user, team or API client was deleted. Records that turn up later go to the recipient."""

    type: ClassVar[str] = "crm.identity.principal_removal.completed.v1"


class PrincipalRemovalSnapshot(PrincipalRemovalEvent):
    """The current state of a removal, sent on request to one queue; nothing happened."""

    type: ClassVar[str] = "crm.identity.principal_removal.snapshot.v1"
