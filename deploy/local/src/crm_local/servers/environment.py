"""Servers named by the environment. They take precedence over all others."""

from importlib import import_module

from crm_kit.configuration.secret_files import secret
from crm_kit.network.amqp_urls import Brokers
from crm_kit.network.urls import BadUrl
from crm_local.servers.found import NoServer, Running


def postgres() -> Running | None:
    """Return the server of DATABASE_URL, whose user must be able to create databases; None if it is not set.

    DATABASE_DIRECT_URL takes precedence: databases and roles are created on the server, not through a pooler.
    """
    name = "DATABASE_DIRECT_URL" if secret("DATABASE_DIRECT_URL") else "DATABASE_URL"
    url = secret(name)
    if not url:
        return None
    try:
        # Imported here, so that `crm status` does not load the driver.
        import_module("crm_kit.network.postgres").Target.of(url, name)
    except BadUrl as error:
        raise NoServer(str(error)) from None
    return Running(url.replace("postgres://", "postgresql://", 1), f"given by {name}")


def rabbitmq() -> Running | None:
    """Return the broker of AMQP_URL, and of AMQP_MANAGEMENT_URL if it is set; None if AMQP_URL is not set."""
    url = secret("AMQP_URL")
    management = secret("AMQP_MANAGEMENT_URL") or None
    if not url:
        if management:
            raise NoServer("AMQP_MANAGEMENT_URL is set without AMQP_URL: set both, or none to get a broker of our own")
        return None
    try:
        Brokers.of(url)
    except BadUrl as error:
        raise NoServer(str(error)) from None
    return Running(url, "given by AMQP_URL", management)
