"""Selects the tests that this machine can run."""

from crm_local.servers import docker, environment, packages, postgres, rabbitmq


def _has_own() -> bool:
    """Whether our own servers can run here, from installed programs or from those that this run installs anyway."""
    if rabbitmq.binaries() is not None and postgres.binaries() is not None:
        return True
    elsewhere = environment.postgres() is not None or environment.rabbitmq() is not None or docker.has_engine()
    return packages.can_install() and not elsewhere


_OWN = _has_own()
collect_ignore = [] if _OWN else ["test_logs_of_servers.py"]


def pytest_report_header() -> str:
    """Report what is left out, and why."""
    return (
        f"servers of our own: {'tested' if _OWN else 'not tested, the programs of PostgreSQL or RabbitMQ are not here'}"
    )
