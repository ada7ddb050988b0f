"""The servers of a suite during one command: running ones, or ones started for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crm_kit.configuration.secret_files import secret
from crm_local import control, rotation
from crm_local.control import NotReady
from crm_local.deployment import Deployment
from crm_local.processes import ProcessRef, stop
from crm_local.servers import Instance, await_ready, docker
from crm_local.state import Home, Kept, Member, State
from crm_local.suite import Backends, in_vhost
from crm_local.up import find_servers

_STOP_SECONDS = 30


@dataclass(frozen=True)
class Attended:
    """The running servers of a suite."""

    deployment: Deployment
    containers: tuple[str, ...] = ()


@contextmanager
def attending(home: Home) -> Iterator[Attended]:
    """Yield the servers of the suite of this home, or of the suite that the environment describes.

    If none runs, those that `up` would start are started, and stopped at the end. Raises NotReady, HomeInUse and
    NoServer.
    """
    if secret("CRM_SERVICE_PASSWORDS"):
        yield Attended(Deployment.of_environment())
        return
    state = home.state()
    if state is not None and state.supervisor.alive() and state.phase == "ready":
        yield Attended(Deployment.find(home), tuple(state.containers))
        return
    if home.is_new():
        raise NotReady(f"there is no suite in {home.path}: set CRM_HOME to where one is kept")
    with home.lock():
        control.clear_leftovers(home)
        with serving(home, home.kept()) as attended:
            yield attended


@contextmanager
def serving(home: Home, kept: Kept) -> Iterator[Attended]:
    """Start the servers of a home whose lock is held, and stop them at the end."""
    database, queues = find_servers(home, kept)
    instances = [server for server in (queues, database) if isinstance(server, Instance)]
    amqp_url = in_vhost(queues.url, kept.instance) if queues.management_url else queues.url
    backends = Backends(database.url, amqp_url, queues.management_url or "")
    containers = [instance.container for instance in instances if instance.container]
    state = State(ProcessRef.of(os.getpid()), kept.instance, "", containers=containers)
    try:
        for instance in instances:
            log = rotation.begin_anew(instance.command.log)
            name, process = instance.command.name, instance.command.start()
            # `down` and the next `up` find the server even if this process is killed.
            state.members[name] = Member(name, process, "", str(log))
            home.write(state)
        for instance in instances:
            await_ready(instance, state.members[instance.command.name].process)
        yield Attended(Deployment.of_home(home, kept.instance, backends), tuple(containers))
    finally:
        for instance in instances:
            if member := state.members.get(instance.command.name):
                stop([member.process], instance.command.stop_signal, grace=_STOP_SECONDS)
        docker.stop(containers)
        home.forget()
