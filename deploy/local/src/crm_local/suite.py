"""Which processes make up the suite, and what each is told."""

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
"""Which processes a service has: `all` does the work of both in one."""


@dataclass(frozen=True)
class Service:
    """A service, by the name it has in events, databases and queues, and its Python package."""

    name: str
    package: str


# A new service is one line here.
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
    """The servers as an operator reaches them; `amqp_url` names the suite's own vhost already."""

    database_url: str
    amqp_url: str
    amqp_management_url: str


@dataclass(frozen=True)
class Suite:
    """The services of one home, with the ports and secrets it keeps for them."""

    kept: Kept
    services: tuple[Service, ...] = SERVICES
    operator_secret: str = field(default="", repr=False)
    """Derives the secret of each service."""

    def members(self) -> Iterator[tuple[str, Service, Role]]:
        """Every process: its name (in the state, of its log, of its port), service and role."""
        return ((member(service, role), service, role) for service in self.services for role in PROFILES[profile()])

    def assigned_ports(self) -> list[str]:
        """The names of those that listen where we choose; the gateway's port is the operator's choice."""
        listening = [_port_of(name) for name, _, _ in self.members() if not is_front(name)]
        return listening + [metrics_port(name) for name, _, _ in self.members()]

    def url(self, name: str) -> str:
        """Where the process of this name answers."""
        return f"http://{LOOPBACK}:{self.port(name)}"

    def port(self, name: str) -> int:
        """Where it listens."""
        return gateway_port() if is_front(name) else self.kept.ports[_port_of(name)]

    def metrics_url(self, name: str) -> str:
        """Where the process of this name shows its figures."""
        return f"http://{LOOPBACK}:{self.kept.ports[metrics_port(name)]}/metrics"

    def environment(self, service: Service, role: Role, database_url: str, amqp_url: str) -> dict[str, str]:
        """What a process of the service is told, on top of what `up` was told itself.

        The URLs are the service's own. What `up` was told and is none of the service's business is blanked: the broker's
        management API, the administrator's password, the passwords of all.
        """
        name = member(service, role)
        runs = any(name == one for one, _, _ in self.members())
        told = {
            "CRM_SERVICE": service.name,
            "CRM_ROLE": role,
            "CRM_INSTANCE": self.kept.instance,
            "CRM_SECRET": self.secret_of(service),
            "CRM_BIND_HOST": LOOPBACK,
            # Whatever is run beside the processes, such as a migration, listens nowhere.
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
        """What the service signs and seals with. Identity's is kept by itself: its signing keys are sealed with it."""
        return self.kept.secret if service.name == "identity" else derived(self.operator_secret, "secret", service.name)

    def database(self, service: Service) -> str:
        """The name of the service's database, on a server that several suites may share."""
        return database_name(self.kept.instance, service)


def member(service: Service, role: Role) -> str:
    """The name of a process of the suite."""
    return service.name if role == "all" else f"{service.name}-{role}"


def is_front(name: str) -> bool:
    """Whether this is the process that clients talk to."""
    return name in _FRONTS


def _port_of(name: str) -> str:
    # The same port in every profile, so that one can be changed for the other.
    return name if "-" in name else f"{name}-api"


def profile() -> str:
    """CRM_PROFILE, `default` unless set. Raises ValueError when there is no such profile."""
    name = os.environ.get("CRM_PROFILE") or "default"
    if name not in PROFILES:
        raise ValueError(f"CRM_PROFILE is {name!r}: it must be one of {', '.join(PROFILES)}")
    return name


def is_small() -> bool:
    """Whether everything is to take as little memory as it can."""
    return profile() == "small"


def metrics_port(name: str) -> str:
    """The name under which the port of a process's figures is kept."""
    return f"{name}-metrics"


def database_name(instance: str, service: Service) -> str:
    """The name of the service's database in this instance."""
    return f"{instance}_crm_{service.name}"


def gateway_port() -> int:
    """CRM_GATEWAY_PORT, 8000 unless set. Raises ValueError when it is no port."""
    text = os.environ.get("CRM_GATEWAY_PORT") or "8000"
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"CRM_GATEWAY_PORT is {text!r}: it must be a port between 1 and 65535")
    return int(text)


def in_database(postgres_url: str, database: str) -> str:
    """The URL with another database."""
    return urls.in_database(postgres_url, database)


def in_vhost(amqp_url: str, vhost: str) -> str:
    """The URL with another vhost."""
    return urls.in_vhost(amqp_url, vhost)
