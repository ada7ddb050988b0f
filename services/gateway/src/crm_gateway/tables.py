"""The tables of the gateway: sessions of browsers, and those of the kit for callers and revocations. It has no business data."""

from crm_gateway.db import Base
from crm_gateway.session import model
from crm_kit.tables import add_kit_tables

_SESSIONS = model.BrowserSession
METADATA = Base.metadata
add_kit_tables(METADATA)
