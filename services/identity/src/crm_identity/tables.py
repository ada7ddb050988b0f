"""All tables of the identity database, for migrations and tests."""

from crm_identity.access_change.model import AccessChange
from crm_identity.api_client.model import ApiClient
from crm_identity.auth.model import (
    AttemptBucket,
    ClientSecret,
    Credential,
    FailedLogin,
    KnownAddress,
    RefreshToken,
    SealedKey,
)
from crm_identity.business_unit.model import BusinessUnit
from crm_identity.db import Base
from crm_identity.organization.model import AccessSequence, OrganizationSettings
from crm_identity.reach.model import FormerUnit
from crm_identity.removal.model import PrincipalRemoval
from crm_identity.security_role.model import SecurityRole, SeededEntity
from crm_identity.subscriber.model import SubscriberDrop, SubscriberQueue
from crm_identity.team.model import Team
from crm_identity.user.model import User
from crm_kit.tables import add_kit_tables

ENTITIES = (User, ApiClient, Team, BusinessUnit, SecurityRole, OrganizationSettings, AccessChange, PrincipalRemoval)
PRIVATE = (
    Credential,
    ClientSecret,
    RefreshToken,
    SealedKey,
    AttemptBucket,
    FailedLogin,
    KnownAddress,
    SeededEntity,
    FormerUnit,
    AccessSequence,
    SubscriberQueue,
    SubscriberDrop,
)
"""Tables whose content appears in no event and no API."""

METADATA = Base.metadata
add_kit_tables(METADATA)
