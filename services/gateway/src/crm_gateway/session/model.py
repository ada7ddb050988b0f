"""Sessions of browsers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_gateway.db import Base


class BrowserSession(Base):
    """The tokens of a browser that logged in. The browser has only a secret, of which this row has the hash."""

    __tablename__ = "browser_session"

    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """SHA-256 of the secret. One round suffices for 256 random bits."""
    session_id: Mapped[UUID]
    """Identity's id of the session."""
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """The access token and the refresh token, encrypted with a key derived from CRM_SECRET and bound to the hash."""
    fresh_until: Mapped[datetime]
    """When the access token expires."""
    began_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    """When identity ends the session, however often it is refreshed."""
