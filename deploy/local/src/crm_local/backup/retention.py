"""How long events and the keys of handled events are kept, and the consequences for a restore.

The keys ensure that each event takes effect once.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_kit.operating.redelivery import Again, keys_since
from crm_local import parties
from crm_local.backup.manifest import Manifest
from crm_local.deployment import Deployment


@dataclass(frozen=True)
class Retention:
    """The days in CRM_OUTBOX_DAYS and CRM_INBOX_DAYS. They are the same for all services and for this process."""

    outbox_days: int
    inbox_days: int

    @classmethod
    def of_environment(cls, deployment: Deployment) -> "Retention":
        """Return the values of this process's environment."""
        settings = next(iter(parties.of(deployment).values())).settings()
        return cls(settings.outbox_days, settings.days_of_keys)

    def of_backup(self, manifest: Manifest) -> "Retention":
        """Return the values at the time of the backup. A backup without them counts as made under these."""
        return Retention(manifest.outbox_days or self.outbox_days, manifest.inbox_days or self.inbox_days)

    def keys_since(self, at: datetime) -> datetime:
        """Return the event time from which the inboxes at that moment have the keys of handled events."""
        return keys_since(at, self.inbox_days)

    def events_since(self, at: datetime) -> datetime:
        """Return the time from which the outboxes at that moment have all published events."""
        return at - timedelta(days=self.outbox_days)

    def short_for(self, again: Again, now: datetime) -> str | None:
        """Return a warning if events sent again are older than the keys that are kept; otherwise None."""
        if again.oldest is None or again.oldest >= self.keys_since(now):
            return None
        days = (now - again.oldest).days + 2
        return (
            f"warning: some of them date from {again.oldest:%Y-%m-%d}, and keys of handled events are kept for {self.inbox_days}"
            f" days: set CRM_INBOX_DAYS={days} for all services until `crm events pending` is empty, otherwise an event that is"
            " delivered twice takes effect twice"
        )
