"""The `crm` command."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

from crm_kit.configuration.secret_files import secret
from crm_local import checks, control, lock, rolling
from crm_local.servers import NoServer, environment
from crm_local.state import CHECKOUT, Home, HomeInUse, Kept
from crm_local.suite import SERVICES, gateway_port

# These commands parse their own arguments.
_DELEGATED = {
    "demo": "play the running example through the gateway",
    "events": "see and mend the flow of events",
    "imports": "see and stop imports",
    "topology": "declare, or check, what the suite needs at the broker",
    "subscribers": "give other systems events, see what waits for them, narrow and end it",
    "provision": "make databases, users and queues for services that others start (containers)",
    "backup": "everything of the suite as of one moment, while it goes on; or check one that is there",
    "restore": "make the suite of a backup, on another path, machine or servers",
    "keys": "rotate the keys that sign access tokens",
    "users": "see users, unlock them, give them a new password, restore an administrator",
    "contracts": "generate the schemas, check them against the released ones, release",
    "bench": "measure the suite beside its ceilings (needs wrk)",
}


def main(argv: list[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 not understood."""
    try:
        if argv and argv[0] in _DELEGATED:
            return _delegate(argv[0], argv[1:])
        arguments, rest = _parser().parse_known_args(argv)
        if rest and arguments.command is not _test:
            _parser().error(f"unrecognized arguments: {' '.join(rest)}")
        command: Callable[[argparse.Namespace, list[str]], int] = arguments.command
        return command(arguments, rest)
    except (NoServer, HomeInUse, control.NotReady, ValueError) as error:
        print(f"crm: {error}", file=sys.stderr)
        return 1


def _delegate(name: str, argv: list[str]) -> int:
    # Imported here, so that `crm status` does not load unneeded libraries.
    if name == "bench":
        return subprocess.run([sys.executable, "-m", "bench", *argv], cwd=CHECKOUT, check=False).returncode
    home = Home.from_environment()
    if name == "demo":
        return int(import_module("crm_local.demo.main").main(argv, home))
    if name == "contracts":
        return int(import_module("crm_contracts.cli").main(argv))
    if name == "provision":
        return int(import_module("crm_local.provision").main(argv))
    if name == "backup":
        return int(import_module("crm_local.backup.making").main(argv, home))
    if name == "restore":
        return int(import_module("crm_local.backup.restoring").main(argv, home))
    if name == "topology":
        return int(import_module("crm_local.topology").main(argv, home))
    if name == "subscribers":
        return int(import_module("crm_local.subscribers").main(argv, home))
    if name == "keys":
        return int(import_module("crm_local.keys").main(argv, home))
    if name == "users":
        return int(import_module("crm_local.users").main(argv, home))
    deployment = import_module("crm_local.deployment").Deployment.find(home)
    databases = {service.name: deployment.database(service) for service in SERVICES}
    if name == "imports":
        return int(import_module("crm_kit.importing.operations").main(argv, databases))
    backends = deployment.backends
    reconciling = import_module("crm_kit.reconciling.commands")
    if argv and argv[0] in reconciling.COMMANDS:
        parties = import_module("crm_local.parties").of(deployment)
        return int(reconciling.main(argv, parties, backends.amqp_url))
    command = import_module("crm_kit.operating.events_command")
    broker = import_module("crm_kit.operating.events_to_queue").Broker(backends.amqp_url, backends.amqp_management_url)
    return int(command.main(argv, databases, broker, beside=reconciling.COMMANDS))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="crm", description="Liaison on one machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    start = commands.add_parser("up", help="start the suite, and PostgreSQL and RabbitMQ if no URL is given")
    start.add_argument("--detach", action="store_true", help="return when every process is ready")
    start.set_defaults(command=_up)

    commands.add_parser("down", help="stop everything that up started").set_defaults(command=_down)

    again = commands.add_parser("restart", help="replace processes one by one without failing requests")
    again.add_argument(
        "processes", nargs="*", metavar="NAME", help="a service (sales) or a process (sales-api); by default all"
    )
    again.set_defaults(command=_restart)

    status = commands.add_parser("status", help="list the processes and their URLs")
    status.add_argument("--json", action="store_true", help="as JSON, with the URLs an operator needs (and passwords)")
    status.set_defaults(command=_status)

    test = commands.add_parser("test", help="lint, types, architecture, contracts and all tests")
    test.add_argument(
        "--only",
        action="append",
        choices=checks.NAMES,
        help="run only this step (repeatable); unknown options go to pytest",
    )
    test.set_defaults(command=_test)

    locking = commands.add_parser("lock", help="resolve the dependencies and write requirements.lock")
    locking.add_argument("--upgrade", action="store_true", help="upgrade to the newest versions that fit")
    locking.set_defaults(command=_lock)

    revising = commands.add_parser("revise", help="write a service's next migration from its models")
    revising.add_argument("service", choices=[service.name for service in SERVICES])
    revising.add_argument("title", help="what it adds, such as 'Territories'")
    revising.set_defaults(command=_revise)

    for name, summary in _DELEGATED.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser


def _up(arguments: argparse.Namespace, _: list[str]) -> int:
    # Report unusable settings before anything is stored or a password is shown.
    environment.rabbitmq()
    environment.postgres()
    gateway_port()
    home = Home.from_environment()
    home.make()
    is_new = home.is_new()
    kept = home.kept()
    if is_new:
        _introduce(home, kept)
    if arguments.detach:
        return 0 if control.launch(home, [sys.executable, "-m", "crm_local", "up"]) else 1
    import_module("crm_local.up").run(home)
    return 0


def _introduce(home: Home, kept: Kept) -> None:
    # Output may end in logs of build machines, so only a new password is shown.
    if secret("CRM_ADMIN_PASSWORD"):
        print(f"first administrator: {kept.admin_email} with the password of CRM_ADMIN_PASSWORD", flush=True)
        return
    print(f"first administrator: {kept.admin_email} with password {kept.admin_password}", flush=True)
    print(f"(stored in {home.path}/kept.json, printed only once)", flush=True)


def _down(_: argparse.Namespace, __: list[str]) -> int:
    stopped = control.down(Home.from_environment())
    print(f"stopped: {', '.join(stopped)}" if stopped else "nothing runs")
    return 0


def _restart(arguments: argparse.Namespace, _: list[str]) -> int:
    home = Home.from_environment()
    return 0 if rolling.restart(home, arguments.processes, lambda line: print(line, flush=True)) else 1


def _status(arguments: argparse.Namespace, _: list[str]) -> int:
    report = control.status(Home.from_environment())
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        print(f"{report['state']}  (home {report['home']}, instance {report['instance'] or '-'})")
        if report.get("reason"):
            print(report["reason"])
        for service in report["services"]:
            print(f"  {service['name']:<18} {service['state']:<8} {service['url']:<28} {service['detail']}".rstrip())
        for server in report["servers"]:
            print(f"  {server['name']:<18} {server['state']:<8} {server['how']}")
    return 0 if report["state"] == "ready" else 1


def _test(arguments: argparse.Namespace, rest: list[str]) -> int:
    return checks.run(arguments.only or list(checks.NAMES), rest)


def _revise(arguments: argparse.Namespace, _: list[str]) -> int:
    service = next(one for one in SERVICES if one.name == arguments.service)
    written = import_module("crm_local.revising").run(service, arguments.title)
    print(f"written: {written}; read it, then run the tests of migrations")
    return 0


def _lock(arguments: argparse.Namespace, _: list[str]) -> int:
    return lock.run(arguments.upgrade)
