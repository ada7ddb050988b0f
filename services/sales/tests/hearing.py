"""Events of other services for sales: the events of one record, version by version."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from crm_contracts.catalogue import Event
from crm_contracts.samples import sample
from crm_contracts.types import utc_text
from crm_kit import clock
from crm_kit.events.received import Message
from crm_kit.store.record import new_id
from crm_kit.testing.people import HEADQUARTERS


@dataclass
class Story:
    """The events of one record of another service, one minute apart."""

    id: UUID = field(default_factory=new_id)
    version: int = 0
    record: dict[str, Any] = field(default_factory=dict)

    def tell(self, event: type[Event], **record: Any) -> Message:
        """Return the next event. ``record`` sets fields from now on."""
        self.version += 1
        return self.tell_again(event, **record)

    def tell_again(self, event: type[Event], **record: Any) -> Message:
        """Return an event at the record's current version, like a snapshot."""
        self.record.update(record)
        document = sample(event)
        document |= {"id": str(new_id()), "subject": str(self.id), "time": utc_text(clock.now())}
        document |= {"entityversion": self.version}
        known: dict[str, Any] = {"id": str(self.id), "version": self.version, "created_at": utc_text(clock.now())}
        if event.entity.owned:
            known |= {"owner_type": "user", "business_unit_id": str(HEADQUARTERS)}
            document |= {"ownerid": str(self.record["owner_id"]), "businessunit": str(HEADQUARTERS)}
        document["data"]["record"] |= known | self.record
        return Message.read(orjson.dumps(document, default=str))
