"""The data of `up` in CRM_HOME: secrets and ports, which stay for the life of the home, and the running processes."""

import fcntl
import hashlib
import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

from crm_kit.configuration.secret_files import secret
from crm_local import ports
from crm_local.accounts import write_private
from crm_local.processes import ProcessRef

CHECKOUT = Path(__file__).resolve().parents[4]


class HomeInUse(Exception):
    """Another `up` runs from this home."""


@dataclass
class Kept:
    """The data that must be the same at the next `up`."""

    instance: str
    secret: str
    """The secret of identity, which encrypts its signing keys."""
    postgres_password: str
    rabbitmq_password: str
    admin_email: str
    admin_password: str
    ports: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Where the data of `postgres` and `rabbitmq` are: `own`, or the name of the Docker image that has them."""


@dataclass
class Member:
    """A process of the running suite: a service in a role, or our own server."""

    name: str
    process: ProcessRef
    url: str
    log: str
    restarts: int = 0
    metrics_url: str = ""


@dataclass
class State:
    """The running suite. `phase` is starting, ready, stopping or failed; `reason` says why it failed."""

    supervisor: ProcessRef
    instance: str
    gateway_url: str
    phase: str = "starting"
    reason: str = ""
    database_url: str = ""
    amqp_url: str = ""
    amqp_management_url: str = ""
    how: dict[str, str] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    containers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Home:
    """The directory CRM_HOME."""

    path: Path

    def files_url(self) -> str:
        """Return CRM_FILES_URL, by default the folder `files` of the home."""
        return os.environ.get("CRM_FILES_URL") or (self.path / "files").as_uri()

    @classmethod
    def from_environment(cls) -> "Home":
        """Return CRM_HOME, or `.crm` in the checkout. It may not exist yet."""
        return cls(Path(os.environ.get("CRM_HOME") or CHECKOUT / ".crm").absolute())

    def log(self, name: str) -> Path:
        """Return the log file of the process of this name."""
        return self.path / "log" / f"{name}.log"

    def make(self) -> None:
        """Create the directory. Others can only pass through it, as the servers' accounts must."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)
        (self.path / "log").mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> IO[str]:
        """Lock the home until the file is closed, or the process ends. Raises HomeInUse."""
        lock = (self.path / "lock").open("w")
        try:
            # Not flock: every forked service would inherit it, and it would outlive a killed supervisor with them.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise HomeInUse(f"a suite already runs from {self.path}: ./crm status, or ./crm down") from None
        return lock

    def kept(self) -> Kept:
        """Return the data of earlier runs with the administrator and instance of the environment.

        The first call creates them.
        """
        path = self.path / "kept.json"
        kept = Kept(**json.loads(path.read_text())) if path.exists() else self._first()
        kept.instance = os.environ.get("CRM_INSTANCE") or kept.instance
        kept.admin_email = os.environ.get("CRM_ADMIN_EMAIL") or kept.admin_email
        kept.admin_password = secret("CRM_ADMIN_PASSWORD") or kept.admin_password
        self.keep(kept)
        return kept

    def operator_secret(self) -> str:
        """Return the secret from which the services' passwords are derived.

        The first call creates it. No process of a service gets it.

        It has its own file, which releases that do not know it leave alone. Without the file all services get new
        passwords at the next `up`.
        """
        path = self.path / "operator-secret"
        if not path.exists():
            _replace(path, secrets.token_urlsafe(48))
        return path.read_text()

    def note_roles(self, has_roles: bool) -> None:
        """Store whether the services have their own roles in PostgreSQL."""
        _replace(self.path / "roles.json", json.dumps(has_roles))

    def has_roles(self) -> bool:
        """Whether the services have their own roles, as last stored."""
        path = self.path / "roles.json"
        return bool(json.loads(path.read_text())) if path.exists() else False

    def adopt(self, kept: Kept, operator_secret: str) -> None:
        """Start with the secrets and the instance of another home, without the data about its machine."""
        kept.ports, kept.sources = {}, {}
        self.keep(kept)
        _replace(self.path / "operator-secret", operator_secret)

    def instance(self) -> str | None:
        """The prefix of the databases and the name of the vhost; None before the first `up`."""
        if self.is_new():
            return None
        return os.environ.get("CRM_INSTANCE") or str(json.loads((self.path / "kept.json").read_text())["instance"])

    def is_new(self) -> bool:
        """Whether nothing is stored here yet."""
        return not (self.path / "kept.json").exists()

    def _first(self) -> Kept:
        digest = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:8]
        return Kept(
            instance=f"liaison_{digest}",
            secret=secrets.token_urlsafe(48),
            postgres_password=secrets.token_urlsafe(24),
            rabbitmq_password=secrets.token_urlsafe(24),
            admin_email="admin@example.com",
            admin_password=secrets.token_urlsafe(12),
        )

    def keep(self, kept: Kept) -> None:
        """Store what must survive. Only its owner can read the file."""
        _replace(self.path / "kept.json", json.dumps(asdict(kept), indent=2))

    def assign_ports(self, kept: Kept, names: list[str]) -> list[int]:
        """Assign a loopback port to every name: its former one, or another if somebody else uses that now."""
        missing = [name for name in names if name not in kept.ports or not ports.is_free(kept.ports[name])]
        taken = frozenset(kept.ports.values())
        kept.ports.update(zip(missing, ports.choose(len(missing), avoid=taken), strict=True))
        self.keep(kept)
        return [kept.ports[name] for name in names]

    def write(self, state: State) -> None:
        """Store the running suite. Only its owner can read the file, because it contains passwords."""
        _replace(self.path / "state.json", json.dumps(asdict(state), indent=2))

    def state(self) -> State | None:
        """Return what the last `up` stored; None if it ended normally or there was none.

        The processes may be dead: see `alive`.
        """
        try:
            raw = json.loads((self.path / "state.json").read_text())
        except FileNotFoundError:
            return None
        raw["supervisor"] = ProcessRef(**raw["supervisor"])
        for member in raw["members"].values():
            member["process"] = ProcessRef(**member["process"])
        raw["members"] = {name: Member(**member) for name, member in raw["members"].items()}
        return State(**raw)

    def forget(self) -> None:
        """Delete the record of the running suite."""
        (self.path / "state.json").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Replace the file atomically, so that a reader never sees a part of it."""
    write_private(path.with_name(f"{path.name}.new"), text).rename(path)
