"""If-Match: the versions that the caller accepts of the record in the path (RFC 9110 §13.1.1)."""

from uuid import UUID

from crm_kit.errors import Stale
from crm_kit.store.record import Record


class Condition:
    """The condition of a request. It applies to one record and is compared once, before the record changes."""

    def __init__(self, record_id: UUID | None, versions: frozenset[int] | None) -> None:
        """``record_id`` is None if the path has no id, because only one such record exists. ``versions`` is None if the
        caller accepts any version."""
        self.record_id = record_id
        self.versions = versions
        self.compared = False

    def compare(self, record: Record) -> None:
        """Raise 412 ``stale`` if the condition applies to this record and does not name its version."""
        if self.compared or self.record_id not in (None, record.id):
            return
        self.compared = True
        if self.versions is not None and record.version not in self.versions:
            raise Stale(record.version)
