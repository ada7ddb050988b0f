"""The suite that an operator's commands are for: the one that runs from a home, or the one the environment describes."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from crm_local import broker
from crm_local.control import NotReady
from crm_local.state import Home
from crm_local.suite import SERVICES, Backends, Service, database_name, in_database


@dataclass(frozen=True)
class Deployment:
    """A suite by its servers and secrets; `secret` derives every password that `passwords` does not give."""

    instance: str
    secret: str
    backends: Backends
    passwords: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def find(cls, home: Home) -> "Deployment":
        """The environment's where CRM_OPERATOR_SECRET is set, else the home's. Raises NotReady or ValueError."""
        if os.environ.get("CRM_OPERATOR_SECRET"):
            return cls.of_environment()
        state = home.state()
        if state is None:
            raise NotReady(f"no suite runs from {home.path}")
        backends = Backends(state.database_url, state.amqp_url, state.amqp_management_url)
        return cls(state.instance, home.kept().secret, backends)

    @classmethod
    def of_environment(cls) -> "Deployment":
        """What CRM_INSTANCE, CRM_OPERATOR_SECRET, DATABASE_URL, AMQP_URL and AMQP_MANAGEMENT_URL say, which are all needed.

        CRM_SERVICE_PASSWORDS (`sales=…,identity=…`) must name every service. Raises ValueError with what is missing.
        """
        names = ("CRM_INSTANCE", "CRM_OPERATOR_SECRET", "DATABASE_URL", "AMQP_URL", "AMQP_MANAGEMENT_URL")
        told = {name: os.environ.get(name, "") for name in names}
        if missing := [name for name, value in told.items() if not value]:
            raise ValueError(f"not set: {', '.join(missing)}")
        pairs = (pair.strip().partition("=") for pair in os.environ.get("CRM_SERVICE_PASSWORDS", "").split(","))
        passwords = {name: password for name, _, password in pairs if password}
        if unknown := [service.name for service in SERVICES if service.name not in passwords]:
            raise ValueError(f"CRM_SERVICE_PASSWORDS has no password for: {', '.join(unknown)}")
        backends = Backends(told["DATABASE_URL"], told["AMQP_URL"], told["AMQP_MANAGEMENT_URL"])
        return cls(told["CRM_INSTANCE"], told["CRM_OPERATOR_SECRET"], backends, passwords)

    def password_of(self, user: str) -> str:
        """The password of a service, or of a subscriber (`ext.<name>`)."""
        return self.passwords.get(user) or broker.password(self.secret, user)

    def database(self, service: Service) -> str:
        """The operator's URL of the service's database."""
        return in_database(self.backends.database_url, database_name(self.instance, service))
