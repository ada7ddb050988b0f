"""What `up` keeps in CRM_HOME: secrets and ports for the life of the home, and what runs now."""

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
    """What must be the same at the next `up`."""

    instance: str
    secret: str
    """Identity's own: its signing keys are sealed with it."""
    postgres_password: str
    rabbitmq_password: str
    admin_email: str
    admin_password: str
    ports: dict[str, int] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    """Where the data of `postgres` and `rabbitmq` lies: `own`, or the name of the Docker image that holds it."""


@dataclass
class Member:
    """One process of the suite that runs now: a service in a role, or a server of our own."""

    name: str
    process: ProcessRef
    url: str
    log: str
    restarts: int = 0
    metrics_url: str = ""


@dataclass
class State:
    """What runs now. `phase` is starting, ready, stopping or failed; `reason` says why it failed."""

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

    @classmethod
    def from_environment(cls) -> "Home":
        """CRM_HOME, or `.crm` in the checkout; not made yet."""
        return cls(Path(os.environ.get("CRM_HOME") or CHECKOUT / ".crm").absolute())

    def log(self, name: str) -> Path:
        """Where the process of this name writes."""
        return self.path / "log" / f"{name}.log"

    def make(self) -> None:
        """Make the directory, closed to others but for passing through, which the servers' accounts need."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o711)
        (self.path / "log").mkdir(mode=0o700, exist_ok=True)

    def lock(self) -> IO[str]:
        """Hold the home until the file is closed, also by the end of the process. Raises HomeInUse."""
        lock = (self.path / "lock").open("w")
        try:
            # Not flock: that one would pass to every forked service, and outlive a killed supervisor with them.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise HomeInUse(f"a suite already runs from {self.path}: ./crm status, or ./crm down") from None
        return lock

    def kept(self) -> Kept:
        """What earlier runs kept, with the environment's administrator and instance on top; made on the first call."""
        path = self.path / "kept.json"
        kept = Kept(**json.loads(path.read_text())) if path.exists() else self._first()
        kept.instance = os.environ.get("CRM_INSTANCE") or kept.instance
        kept.admin_email = os.environ.get("CRM_ADMIN_EMAIL") or kept.admin_email
        kept.admin_password = secret("CRM_ADMIN_PASSWORD") or kept.admin_password
        self.keep(kept)
        return kept

    def operator_secret(self) -> str:
        """What the passwords of services derive from; made on the first call, and told to no process of a service.

        A file of its own, which releases that do not know it leave alone. Without it all get new passwords at the next `up`.
        """
        path = self.path / "operator-secret"
        if not path.exists():
            _replace(path, secrets.token_urlsafe(48))
        return path.read_text()

    def note_roles(self, has_roles: bool) -> None:
        """Note whether the services have roles of their own in PostgreSQL."""
        _replace(self.path / "roles.json", json.dumps(has_roles))

    def has_roles(self) -> bool:
        """Whether they have, as far as it was noted."""
        path = self.path / "roles.json"
        return bool(json.loads(path.read_text())) if path.exists() else False

    def adopt(self, kept: Kept, operator_secret: str) -> None:
        """Begin with what another home kept: its secrets and its instance, and nothing of its machine."""
        kept.ports, kept.sources = {}, {}
        self.keep(kept)
        _replace(self.path / "operator-secret", operator_secret)

    def instance(self) -> str | None:
        """Prefix of the databases and name of the vhost; None before the first `up`."""
        if self.is_new():
            return None
        return os.environ.get("CRM_INSTANCE") or str(json.loads((self.path / "kept.json").read_text())["instance"])

    def is_new(self) -> bool:
        """Whether nothing was kept here yet."""
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
        """Write what must survive, readable by its owner alone."""
        _replace(self.path / "kept.json", json.dumps(asdict(kept), indent=2))

    def assign_ports(self, kept: Kept, names: list[str]) -> list[int]:
        """Give every name its loopback port: the one it had, or another where somebody took that meanwhile."""
        missing = [name for name in names if name not in kept.ports or not ports.is_free(kept.ports[name])]
        taken = frozenset(kept.ports.values())
        kept.ports.update(zip(missing, ports.choose(len(missing), avoid=taken), strict=True))
        self.keep(kept)
        return [kept.ports[name] for name in names]

    def write(self, state: State) -> None:
        """Record what runs now; it holds passwords, so only its owner reads it."""
        _replace(self.path / "state.json", json.dumps(asdict(state), indent=2))

    def state(self) -> State | None:
        """What the last `up` recorded, None when it ended by itself or there was none. It may be dead: ask `alive`."""
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
        """Nothing runs any more."""
        (self.path / "state.json").unlink(missing_ok=True)


def _replace(path: Path, text: str) -> None:
    """Write the file at once or not at all: a reader never sees half of it."""
    write_private(path.with_name(f"{path.name}.new"), text).rename(path)
