"""The events of a removal, as identity publishes them."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from crm_contracts.catalogue import Event
from crm_contracts.identity import PrincipalRemovalCompleted, PrincipalRemovalCreated, PrincipalRemovalRefused
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.events.received import Message
from crm_kit.store.record import new_id


@dataclass
class Removal:
    """The removal of a user. Without ``to``, services only count; what turns up later goes to ``asker``."""

    principal: UUID
    to: UUID | None = None
    asker: UUID = field(default_factory=new_id)
    id: UUID = field(default_factory=new_id)
    version: int = 0

    def asked(self) -> Message:
        """Somebody asks for the removal."""
        return self._tell(PrincipalRemovalCreated, "counting" if self.to is None else "moving")

    def refused(self) -> Message:
        """It ends, and the user stays."""
        return self._tell(PrincipalRemovalRefused, "refused")

    def completed(self) -> Message:
        """The user is deleted."""
        return self._tell(PrincipalRemovalCompleted, "completed")

    def _tell(self, event: type[Event], status: str) -> Message:
        self.version += 1
        document = sample(event)
        document |= {"id": str(new_id()), "subject": str(self.id), "time": utc_text(clock.now())}
        document |= {"entityversion": self.version, "actor": f"user:{self.asker}", "correlationid": str(self.id)}
        record: dict[str, Any] = {
            "id": self.id,
            "version": self.version,
            "status": status,
            "principal_type": "user",
            "principal_id": self.principal,
            "transfer": self.to is not None,
            "recipient_type": "user",
            "recipient_id": self.to or self.asker,
        }
        document["data"]["record"] |= record
        return Message.read(orjson.dumps(document, default=str))
