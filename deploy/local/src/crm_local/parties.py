"""The services of a deployment for an operator, to compare and rebuild their copies of each other's records."""

from collections.abc import Mapping

from crm_kit.reconciling.parties import Party
from crm_local import entrypoints
from crm_local.deployment import Deployment
from crm_local.suite import SERVICES


def of(deployment: Deployment) -> Mapping[str, Party]:
    """Every service by its name, with the operator's URL of its database."""
    return {
        service.name: Party(
            entrypoints.definition(service), entrypoints.consumers(service), deployment.database(service)
        )
        for service in SERVICES
    }
