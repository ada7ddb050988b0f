"""Servers named by the environment: an operator's choice goes before anything that could be found."""

import os

from crm_local.servers.found import NoServer, Running


def postgres() -> Running | None:
    """The server of DATABASE_URL, whose user must be allowed to create databases; None when it is not set."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        return None
    if not url.startswith(("postgresql://", "postgres://")):
        raise NoServer("DATABASE_URL must look like postgresql://user:password@host:5432/postgres")
    return Running(url.replace("postgres://", "postgresql://", 1), "given by DATABASE_URL")


def rabbitmq() -> Running | None:
    """The broker of AMQP_URL, and of AMQP_MANAGEMENT_URL when that is set; None when AMQP_URL is not."""
    url = os.environ.get("AMQP_URL", "")
    management = os.environ.get("AMQP_MANAGEMENT_URL", "") or None
    if not url:
        if management:
            raise NoServer("AMQP_MANAGEMENT_URL is set without AMQP_URL: set both, or none to get a broker of our own")
        return None
    if not url.startswith(("amqp://", "amqps://")):
        raise NoServer("AMQP_URL must look like amqp://user:password@host:5672/vhost")
    return Running(url, "given by AMQP_URL", management)
