"""The gateway closes idle connections before the service does, and before the end of its drain."""

import pytest
from pydantic import ValidationError

from crm_gateway.proxy.upstream import KEPT_ALIVE_SECONDS
from crm_kit.configuration.settings import Settings
from crm_kit.http.server import IDLE_SECONDS


def test_no_connection_is_used_at_the_moment_a_service_closes_it() -> None:
    assert IDLE_SECONDS > KEPT_ALIVE_SECONDS
    told = {"CRM_SERVICE": "mini", "CRM_SECRET": "s", "DATABASE_URL": "postgresql://h/d"}
    assert Settings.model_validate(told).drain_seconds > KEPT_ALIVE_SECONDS
    with pytest.raises(ValidationError, match="CRM_DRAIN_SECONDS"):
        Settings.model_validate({**told, "CRM_DRAIN_SECONDS": KEPT_ALIVE_SECONDS})
