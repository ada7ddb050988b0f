"""The processes of the suite, and their environment."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from crm_kit.configuration.secret_files import blanked
from crm_kit.network import urls
from crm_local.credentials import derived
from crm_local.ports import LOOPBACK
from crm_local.state import Kept

Role = Literal["api", "worker", "all"]
ROLES: tuple[Role, ...] = ("api", "worker")
PROFILES: dict[str, tuple[Role, ...]] = {"default": ROLES, "small": ("all",)}
"""The roles of a service's processes. `all` does the work of both in one process."""


@dataclass(frozen=True)
class Service:
    """A service: its name in events, databases and queues, and its Python package."""

    name: str
    package: str


# A new service is one more line here.
SERVICES: tuple[Service, ...] = (
    Service("identity", "crm_identity"),
    Service("sales", "crm_sales"),
    Service("activities", "crm_activities"),
    Service("marketing", "crm_marketing"),
    Service("service", "crm_service_mgmt"),
    Service("insights", "crm_insights"),
    Service("gateway", "crm_gateway"),
)


_FRONTS = ("gateway-api", "gateway")


@dataclass(frozen=True)
class Backends:
    """The servers as seen by an operator. `amqp_url` includes the suite's own vhost."""

    database_url: str
    amqp_url: str
    amqp_management_url: str


@dataclass(frozen=True)
class Suite:
    """The services of a home, with its ports and secrets."""

    kept: Kept
    services: tuple[Service, ...] = SERVICES
    operator_secret: str = field(default="", repr=False)
    """The secret from which that of each service is derived."""

    def members(self) -> Iterator[tuple[str, Service, Role]]:
        """Yield every process: its name (in state, logs and ports), service and role."""
        return ((member(service, role), service, role) for service in self.services for role in PROFILES[profile()])

    def assigned_ports(self) -> list[str]:
        """Return the names of processes whose ports are assigned. The operator chooses the gateway's port."""
        listening = [_port_of(name) for name, _, _ in self.members() if not is_front(name)]
        return listening + [metrics_port(name) for name, _, _ in self.members()]

    def url(self, name: str) -> str:
        """Return the URL of the process of this name."""
        return f"http://{LOOPBACK}:{self.port(name)}"

    def port(self, name: str) -> int:
        """Return the port of the process of this name."""
        return gateway_port() if is_front(name) else self.kept.ports[_port_of(name)]

    def metrics_url(self, name: str) -> str:
        """Return the URL of the metrics of the process of this name."""
        return f"http://{LOOPBACK}:{self.kept.ports[metrics_port(name)]}/metrics"

    def environment(self, service: Service, role: Role, database_url: str, amqp_url: str) -> dict[str, str]:
        """Return the environment of a process of the service, in addition to that of `up`.

        The URLs are the service's own. Variables of `up` that do not concern the service are blanked: the management
        API of the broker, the administrator's password, the passwords of all services.
        """
        name = member(service, role)
        runs = any(name == one for one, _, _ in self.members())
        told = {
            "CRM_SERVICE": service.name,
            "CRM_ROLE": role,
            "CRM_INSTANCE": self.kept.instance,
            "CRM_SECRET": self.secret_of(service),
            "CRM_BIND_HOST": LOOPBACK,
            # Other programs of the service, such as a migration, do not listen.
            "CRM_PORT": str(self.port(name) if runs else 0),
            "CRM_METRICS_HOST": LOOPBACK,
            "CRM_METRICS_PORT": str(self.kept.ports[metrics_port(name)] if runs else 0),
            **blanked(),
            "DATABASE_URL": database_url,
            "DATABASE_DIRECT_URL": "",
            "AMQP_URL": amqp_url,
            "AMQP_MANAGEMENT_URL": "",
            "CRM_SERVICE_PASSWORDS": "",
            "CRM_ADMIN_EMAIL": "",
            "CRM_ADMIN_PASSWORD": "",
        }
        apis = {other.name: self.url(member(other, "api")) for other in self.services}
        if "identity" in apis:
            told["CRM_JWKS_URL"] = f"{apis['identity']}/api/v1/auth/jwks"
        if service.name == "gateway":
            told["CRM_UPSTREAMS"] = ",".join(f"{name}={url}" for name, url in apis.items() if name != "gateway")
        if service.name == "identity":
            told |= {"CRM_ADMIN_EMAIL": self.kept.admin_email, "CRM_ADMIN_PASSWORD": self.kept.admin_password}
        return told

    def secret_of(self, service: Service) -> str:
        """Return the secret for signing and encryption.

        Identity's is stored separately, because it encrypts the signing keys.
        """
        return self.kept.secret if service.name == "identity" else derived(self.operator_secret, "secret", service.name)

    def database(self, service: Service) -> str:
        """Return the name of the service's database. Several suites can share its server."""
        return database_name(self.kept.instance, service)


def member(service: Service, role: Role) -> str:
    """Return the name of a process of the suite."""
    return service.name if role == "all" else f"{service.name}-{role}"


def is_front(name: str) -> bool:
    """Whether this is the process that clients connect to."""
    return name in _FRONTS


def _port_of(name: str) -> str:
    # The port is the same in every profile, so that the profile can be changed.
    return name if "-" in name else f"{name}-api"


def profile() -> str:
    """Return CRM_PROFILE, by default `default`. Raises ValueError for an unknown profile."""
    name = os.environ.get("CRM_PROFILE") or "default"
    if name not in PROFILES:
        raise ValueError(f"CRM_PROFILE is {name!r}: it must be one of {', '.join(PROFILES)}")
    return name


def is_small() -> bool:
    """Whether all processes must use as little memory as possible."""
    return profile() == "small"


def metrics_port(name: str) -> str:
    """Return the name under which the metrics port of a process is stored."""
    return f"{name}-metrics"


def database_name(instance: str, service: Service) -> str:
    """Return the name of the service's database in this instance."""
    return f"{instance}_crm_{service.name}"


def gateway_port() -> int:
    """Return CRM_GATEWAY_PORT, by default 8000. Raises ValueError if it is not a port."""
    text = os.environ.get("CRM_GATEWAY_PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"CRM_GATEWAY_PORT is {text!r}: it must be a port between 1 and 65535")
    return int(text)


def in_database(postgres_url: str, database: str) -> str:
    """Return the URL with another database."""
    return urls.in_database(postgres_url, database)


def in_vhost(amqp_url: str, vhost: str) -> str:
    """Return the URL with another vhost."""
    return urls.in_vhost(amqp_url, vhost)
