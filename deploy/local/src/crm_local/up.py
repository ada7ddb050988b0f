"""`crm up`: start the suite until every process is ready, and stop it in order."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from crm_kit.clock import monotonic
from crm_local import capacity, control, entrypoints, observability, ports, rolling, rotation
from crm_local.control import NotReady
from crm_local.listening import Listeners
from crm_local.liveness import Liveness, seconds_between_looks
from crm_local.nursery import Born, Nursery
from crm_local.probes import ready
from crm_local.processes import ProcessRef, wait_until
from crm_local.servers import Instance, NoServer, Running, compose, docker, environment, own
from crm_local.state import Home, Kept, Member, State
from crm_local.suite import SERVICES, Backends, Role, Service, Suite, gateway_port, in_vhost, is_front, is_small
from crm_local.supervisor import Fork, NotReplaced, Stopped, Supervisor

if TYPE_CHECKING:
    from crm_local.deployment import Deployment

_READY_SECONDS = 60
_SPARE_SECONDS = 15
"""Seconds, besides the time to drain and finish, after which a process that was told to end is killed."""
_NODE_PORTS = ("rabbitmq", "rabbitmq-management", "rabbitmq-distribution", "rabbitmq-mapper")

Server = Running | Instance


def run(home: Home, services: tuple[Service, ...] = SERVICES) -> None:
    """Start the suite and keep it running until SIGTERM or SIGINT.

    Raises HomeInUse if it already runs, NoServer if PostgreSQL or RabbitMQ is not available, NotReady if a process does
    not become ready. In each case everything that was started is stopped again.
    """
    began = monotonic()
    home.make()
    with home.lock():
        control.clear_leftovers(home)
        rolling.forget(home)
        kept = home.kept()
        _require_free(gateway_port())
        suite = Suite(kept, services, home.operator_secret())
        home.assign_ports(kept, suite.assigned_ports())
        shown = {name: suite.metrics_url(name) for name, _, _ in suite.members()}
        observability.write_configuration(home.path / "prometheus.yml", shown)
        session = _Session(home, suite, *find_servers(home, kept))
        try:
            with session.supervisor.watching():
                session.bring_up()
                _say(f"ready after {monotonic() - began:.1f} s: {session.state.gateway_url} (documentation: /docs)")
                session.supervisor.run()
        except Stopped as signal:
            _say(f"{signal}: stopping")
        except NotReady as reason:
            session.state.phase, session.state.reason = "failed", str(reason)
            raise
        finally:
            session.take_down()


class _Session:
    """One run of the suite: the supervised programs, and their record in the home."""

    _deployment: "Deployment"

    def __init__(self, home: Home, suite: Suite, database: Server, queues: Server) -> None:
        self.home, self.suite = home, suite
        self.instances = [server for server in (database, queues) if isinstance(server, Instance)]
        # Only the management API can create a vhost. Without it the suite uses the vhost of its URL.
        vhost = suite.kept.instance
        amqp_url = in_vhost(queues.url, vhost) if queues.management_url else queues.url
        self.backends = Backends(database.url, amqp_url, queues.management_url or "")
        self.state = State(
            supervisor=ProcessRef.of(os.getpid()),
            instance=suite.kept.instance,
            gateway_url=f"http://{ports.LOOPBACK}:{gateway_port()}",
            database_url=self.backends.database_url,
            amqp_url=self.backends.amqp_url,
            amqp_management_url=self.backends.amqp_management_url,
            how={"postgres": database.how, "rabbitmq": queues.how},
            containers=[one.container for one in self.instances if one.container],
        )
        self.supervisor = Supervisor(self._record, _say, self._tend, self._restart)
        self._listeners = Listeners()
        self._untold: list[rolling.Request] = []
        self._liveness = Liveness(seconds_between_looks())
        self._log_bytes = rotation.most_bytes()
        self._unwritten = False
        self._leave_seconds = _seconds("CRM_DRAIN_SECONDS", 5) + _seconds("CRM_FINISH_SECONDS", 10) + _SPARE_SECONDS

    def bring_up(self) -> None:
        for instance in self.instances:
            rotation.begin_anew(instance.command.log)
            self.supervisor.add(Fork.of(instance.command))
            _say(f"starting {instance.how}")
        # All that is large is imported while the servers start, which takes them longer. The services come first, because
        # `preload` keeps libraries from loading what nobody needs.
        entrypoints.preload(self.suite.services)
        from crm_local.deployment import Deployment
        from crm_local.prepare import prepare

        # All forks share the imported modules, as long as no garbage collection writes to their pages.
        gc.collect()
        gc.freeze()
        deployment = Deployment.of_home(self.home, self.suite.kept.instance, self.backends)
        with _aloud() as tell:
            self._call("prepare", partial(prepare, self.home, self.suite, self.instances, deployment, tell))
        deployment = deployment.with_roles(self.home.has_roles())
        self._deployment = deployment
        for name, _, _ in self.suite.members():
            self._listen(name)
        programs = [self._program(name, service, role) for name, service, role in self.suite.members()]
        gc.collect()
        gc.freeze()
        for program in programs:
            self.supervisor.add(program)
        for name, member in self.state.members.items():
            _say(f"  {name:<18} {member.url or self._where(name):<28} log {member.log}")
        self._call("readiness", self._await_ready)
        self.state.phase = "ready"
        self._record()

    def take_down(self) -> None:
        if self.state.phase != "failed":
            self.state.phase = "stopping"
            self._record()
        servers = [instance.command.name for instance in self.instances]
        self._listeners.close()
        # The gateway stops first, so that the services behind it can answer its open requests.
        self.supervisor.stop([name for name in self.supervisor.children if is_front(name)], self._leave_seconds)
        self.supervisor.stop([name for name in self.supervisor.children if name not in servers], self._leave_seconds)
        self.supervisor.stop(servers, grace=30)
        # A client that was killed, or stopped before it was attached, leaves its container running.
        docker.stop(self.state.containers)
        if self.state.phase == "failed":
            self.home.write(self.state)
        else:
            self.home.forget()

    def _listen(self, name: str) -> None:
        try:
            self._listeners.open(name, self.suite.port(name))
        except OSError as error:
            raise NotReady(f"{name} cannot listen on {self.suite.url(name)}: {error}") from error

    def _told_to(self, name: str, service: Service, role: Role) -> dict[str, str]:
        database, broker = self._deployment.own_database(service), self._deployment.own_broker(service)
        told = self.suite.environment(service, role, database, broker)
        # Only the service that needs them is told where files are, or it would find the folder of another home.
        files = {"CRM_FILES_URL": self.home.files_url()} if service.name == "activities" else {}
        return told | files | {"CRM_LISTEN_FD": str(self._listeners.descriptor(name))}

    def _program(self, name: str, service: Service, role: Role) -> Fork:
        told = self._told_to(name, service, role)
        serve = entrypoints.prepare(service, role, told)

        def run() -> None:
            self._listeners.keep_only(name)
            serve()

        return Fork(name, run, rotation.begin_anew(self.home.log(name)), told)

    def _restart(self) -> None:
        for request in rolling.requests(self.home):
            try:
                self._roll(request)
                outcome = [rolling.DONE]
            except (NotReplaced, OSError) as error:
                outcome = [str(error), rolling.FAILED]
            except Stopped:
                request.tell("the suite is being stopped", rolling.FAILED)
                raise
            _say(f"restart of {', '.join(request.processes)}: {outcome[0]}")
            if not request.tell(*outcome):
                self._untold.append(request)

    def _roll(self, request: rolling.Request) -> None:
        members = {name: (service, role) for name, service, role in self.suite.members()}
        # It lives as long as a program that it forks.
        nursery = self._import_anew()
        for name in request.processes:
            service, role = members[name]
            log = self.home.log(name)
            program = Born(nursery, name, service, role, log, self._told_to(name, service, role))
            try:
                took = self.supervisor.replace(program, _READY_SECONDS, self._leave_seconds)
            except NotReplaced as reason:
                # The processes replaced so far. The next restart can replace them again.
                self.supervisor.await_leaving()
                raise NotReplaced(
                    f"{name}: the new process {reason}; the old one goes on. The end of {log}:\n{control.tail(log)}"
                ) from reason
            request.tell(f"{name}: the new process was ready after {took:.1f} s; the old one finishes its requests")
        self.supervisor.await_leaving()

    def _import_anew(self) -> Nursery:
        """Start a process that imports the services from disk, to fork their processes from it."""
        log = rotation.begin_anew(self.home.log("nursery"))
        nursery = Nursery(self.suite.services, self._listeners.descriptors, log)
        try:
            while not nursery.is_ready():
                self.supervisor.step(0.1)
        except OSError as error:
            raise NotReplaced(f"{error}; all processes go on. The end of {log}:\n{control.tail(log)}") from error
        return nursery

    def _call(self, name: str, what: Callable[[], object]) -> None:
        log = rotation.begin_anew(self.home.log(name))
        if self.supervisor.call(Fork(name, what, log)):
            raise NotReady(control.tail(log))

    def _where(self, server: str) -> str:
        taken = {name: port for name, port in self.suite.kept.ports.items() if name.startswith(server)}
        return f"{ports.LOOPBACK}:" + ",".join(map(str, taken.values()))

    def _await_ready(self) -> None:
        for name, _, _ in self.suite.members():
            url = self.suite.url(name)
            if not wait_until(lambda: ready(url)[0], _READY_SECONDS):  # noqa: B023 - asked within this turn only
                log = self.home.log(name)
                print(f"{name} is not ready after {_READY_SECONDS} s: {url}/readyz: {ready(url)[1]}")
                sys.exit(f"the end of {log}:\n{control.tail(log)}")

    def _record(self) -> None:
        urls = {name: self.suite.url(name) for name, _, _ in self.suite.members()}
        shown = {name: self.suite.metrics_url(name) for name, _, _ in self.suite.members()}
        self.state.members = {
            name: Member(
                name,
                child.process,
                urls.get(name, ""),
                str(child.program.log),
                child.restarts,
                shown.get(name, ""),
            )
            for name, child in self.supervisor.children.items()
        }
        beside = {f"{name} (starting)": (name, process) for name, process in self.supervisor.candidates.items()}
        beside |= {f"{name} (ending)": (name, process) for name, (process, _) in self.supervisor.leaving.items()}
        for called, (name, process) in beside.items():
            self.state.members[called] = Member(called, process, urls[name], str(self.home.log(name)))
        try:
            self.home.write(self.state)
        except OSError as error:
            # The processes continue. The file is corrected as soon as the disk allows it.
            if not self._unwritten:
                _say(f"the state cannot be written: {error}; trying again until it can")
            self._unwritten = True
        else:
            self._unwritten = False

    def _tend(self) -> None:
        """Periodic work: write what could not be written, limit the logs, find hung processes."""
        if self._unwritten:
            self._record()
        self._untold = [request for request in self._untold if not request.write()]
        for log in (*(child.program.log for child in self.supervisor.children.values()), self.home.log("supervisor")):
            rotation.bound(log, self._log_bytes)
        if self.state.phase != "ready":
            return
        urls = {name: self.suite.url(name) for name, _, _ in self.suite.members()}
        urls |= {instance.command.name: instance.url for instance in self.instances if instance.container is None}
        running = {name: child.process.pid for name, child in self.supervisor.children.items() if child.due_at is None}
        for name, _ in self._liveness.hung({(name, pid): urls[name] for name, pid in running.items() if name in urls}):
            self.supervisor.kill(name, "does not answer any more")


def find_servers(home: Home, kept: Kept) -> tuple[Server, Server]:
    """Find PostgreSQL and RabbitMQ: those of the environment, else containers, else our own instances.

    They are not started yet.
    """
    queues: Server | None = environment.rabbitmq()
    if queues is None:
        queues = _choose(home, kept, "rabbitmq", _contained_rabbitmq, _own_rabbitmq)
    database: Server | None = environment.postgres()
    if database is None:
        database = _choose(home, kept, "postgres", _contained_postgres, _own_postgres)
    return database, queues


Maker = Callable[[Home, Kept], Instance]


def _choose(home: Home, kept: Kept, server: str, in_container: Maker, of_our_own: Maker) -> Instance:
    """Return the server that has the data. In a new home it is a container if a Docker engine can create one."""
    # A home of an earlier release has its data in our own instances.
    source = kept.sources.get(server) or ("own" if server in kept.ports and not kept.sources else None)
    if source != "own" and (source or docker.has_client()):
        try:
            return in_container(home, kept)
        except NoServer as reason:
            if source:
                raise NoServer(f"the data of {server} lies in a Docker volume, but {reason}") from reason
            _say(f"no container for {server}: {reason}")
    found = of_our_own(home, kept)
    kept.sources[server] = "own"
    home.keep(kept)
    return found


def _contained_postgres(home: Home, kept: Kept) -> Instance:
    image = compose.postgres_image(kept.sources.get("postgres"))
    home.assign_ports(kept, list(compose.PORTS))
    found = compose.postgres(image, kept, home.log("postgres"))
    kept.sources["postgres"] = image
    home.keep(kept)
    return found


def _contained_rabbitmq(home: Home, kept: Kept) -> Instance:
    image = compose.rabbitmq_image(kept.sources.get("rabbitmq"))
    home.assign_ports(kept, list(compose.PORTS))
    found = compose.rabbitmq_node(image, kept, home.log("rabbitmq"))
    kept.sources["rabbitmq"] = image
    home.keep(kept)
    return found


def _own_rabbitmq(home: Home, kept: Kept) -> Instance:
    taken = home.assign_ports(kept, list(_NODE_PORTS))
    log = home.log("rabbitmq")
    return own.rabbitmq_node(
        home.path / "rabbitmq", kept.instance, taken, kept.rabbitmq_password, log=log, small=is_small()
    )


def _own_postgres(home: Home, kept: Kept) -> Instance:
    (port,) = home.assign_ports(kept, ["postgres"])
    return own.postgres_cluster(
        home.path / "postgres",
        port,
        kept.postgres_password,
        log=home.log("postgres"),
        small=is_small(),
        connections=capacity.of_own_server(small=is_small()),
    )


def _require_free(port: int) -> None:
    if not ports.is_free(port):
        raise NotReady(f"port {port} is taken: free it, or choose another by CRM_GATEWAY_PORT")


def _seconds(variable: str, default: float) -> float:
    try:
        return float(os.environ.get(variable) or default)
    except ValueError:
        raise ValueError(f"{variable} is {os.environ[variable]!r}: it must be a number of seconds") from None


@contextmanager
def _aloud() -> Iterator[Callable[[str], None]]:
    """Return a function for messages to this process's output, from a child whose own output goes to its log."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as output:

        def tell(line: str) -> None:
            with suppress(OSError):
                print(line, file=output, flush=True)

        yield tell


def _say(line: str) -> None:
    # If nobody reads the output or the disk is full, the suite continues.
    with suppress(OSError):
        print(line, flush=True)
