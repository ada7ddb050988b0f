"""A deployment of the suite: its servers and the credentials of each service, from a home or from the environment."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from crm_kit.broker.management import user_of
from crm_kit.configuration.secret_files import secret
from crm_kit.network.amqp_urls import Brokers
from crm_kit.network.postgres import Target
from crm_kit.network.urls import as_role, as_user
from crm_local.control import NotReady
from crm_local.credentials import derived
from crm_local.state import Home
from crm_local.suite import SERVICES, Backends, Service, database_name, in_database


@dataclass(frozen=True)
class Deployment:
    """The operator's view; `own_database` and `own_broker` are the view of a service."""

    instance: str
    backends: Backends
    password_of: Callable[[str], str]
    """The password of a service, as a role of PostgreSQL and as a user of the broker."""
    has_roles: bool = True
    """Whether each service has its own role. Without the right to create roles they share the operator's."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Databases, by service, that are used instead of the regular ones while a restore fills them."""

    @classmethod
    def find(cls, home: Home) -> "Deployment":
        """The environment's if CRM_SERVICE_PASSWORDS is set, else the home's. Raises NotReady or ValueError."""
        if secret("CRM_SERVICE_PASSWORDS"):
            return cls.of_environment()
        state = home.state()
        if state is None:
            raise NotReady(f"no suite runs from {home.path}")
        backends = Backends(state.database_url, state.amqp_url, state.amqp_management_url)
        return cls.of_home(home, state.instance, backends)

    @classmethod
    def of_home(cls, home: Home, instance: str, backends: Backends) -> "Deployment":
        """A deployment whose passwords are derived from the operator secret of the home."""
        return cls(instance, backends, partial(derived, home.operator_secret(), "password"), home.has_roles())

    @classmethod
    def of_environment(cls) -> "Deployment":
        """The deployment of CRM_INSTANCE, DATABASE_URL, AMQP_URL and AMQP_MANAGEMENT_URL; all are required.

        DATABASE_DIRECT_URL takes precedence over DATABASE_URL: operator commands need sessions, so they bypass a pooler.
        CRM_SERVICE_PASSWORDS (`sales=…,identity=…`) must name every service. Raises ValueError with what is missing.
        """
        database = "DATABASE_DIRECT_URL" if secret("DATABASE_DIRECT_URL") else "DATABASE_URL"
        names = ("CRM_INSTANCE", database, "AMQP_URL", "AMQP_MANAGEMENT_URL")
        told = {name: secret(name) for name in names if name != "CRM_INSTANCE"}
        told["CRM_INSTANCE"] = os.environ.get("CRM_INSTANCE", "")
        if missing := [name for name, value in told.items() if not value]:
            raise ValueError(f"not set: {', '.join(missing)}")
        pairs = (pair.strip().partition("=") for pair in secret("CRM_SERVICE_PASSWORDS").split(","))
        passwords = {name: password for name, _, password in pairs if password}
        if unknown := [service.name for service in SERVICES if service.name not in passwords]:
            raise ValueError(f"CRM_SERVICE_PASSWORDS has no password for: {', '.join(unknown)}")
        Target.of(told[database], database)
        Brokers.of(told["AMQP_URL"])
        backends = Backends(told[database], told["AMQP_URL"], told["AMQP_MANAGEMENT_URL"])
        return cls(told["CRM_INSTANCE"], backends, passwords.__getitem__)

    def with_roles(self, has_roles: bool) -> "Deployment":
        """A copy that has roles or not."""
        return replace(self, has_roles=has_roles)

    def with_databases(self, beside: Mapping[str, str]) -> "Deployment":
        """A copy in which these services have other databases, by service; their roles stay the same."""
        return replace(self, beside=beside)

    def database(self, service: Service) -> str:
        """The operator's URL of the service's database."""
        name = self.beside.get(service.name) or database_name(self.instance, service)
        return in_database(self.backends.database_url, name)

    def own_database(self, service: Service) -> str:
        """The service's URL of its database, with its own role if it has one."""
        if not self.has_roles:
            return self.database(service)
        role = database_name(self.instance, service)
        return as_role(self.database(service), role, self.password_of(service.name))

    def own_broker(self, service: Service) -> str:
        """The service's URL of the broker, with its own user if there is a management API."""
        if not self.backends.amqp_management_url:
            return self.backends.amqp_url
        user = user_of(service.name, self.backends.amqp_url)
        return as_user(self.backends.amqp_url, user, self.password_of(service.name))
