"""If-Match: which version of the record of the path the caller has seen (RFC 9110 §13.1.1)."""

from uuid import UUID

from crm_kit.errors import Stale
from crm_kit.store.record import Record


class Condition:
    """Belongs to one record, whatever else the command loads before it, and is compared once: before anything changes it."""

    def __init__(self, record_id: UUID | None, versions: frozenset[int] | None) -> None:
        """``record_id`` is None where the path names the only record of its kind; ``versions`` is None where any will do."""
        self.record_id = record_id
        self.versions = versions
        self.compared = False

    def compare(self, record: Record) -> None:
        """412 ``stale`` when the condition is about this record and names other versions of it."""
        if self.compared or self.record_id not in (None, record.id):
            return
        self.compared = True
        if self.versions is not None and record.version not in self.versions:
            raise Stale(record.version)
