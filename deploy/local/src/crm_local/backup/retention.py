"""How long events, and the keys by which each takes effect once, are kept: what that means for a restore."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from crm_kit.operating.redelivery import Again, keys_since
from crm_local import parties
from crm_local.backup.manifest import Manifest
from crm_local.deployment import Deployment


@dataclass(frozen=True)
class Retention:
    """Days of CRM_OUTBOX_DAYS and CRM_INBOX_DAYS, which are the same for all services and are given to this process, too."""

    outbox_days: int
    inbox_days: int

    @classmethod
    def of_environment(cls, deployment: Deployment) -> "Retention":
        """What this process is told."""
        settings = next(iter(parties.of(deployment).values())).settings()
        return cls(settings.outbox_days, settings.days_of_keys)

    def of_backup(self, manifest: Manifest) -> "Retention":
        """What held when the backup was made; one that does not say was made under these."""
        return Retention(manifest.outbox_days or self.outbox_days, manifest.inbox_days or self.inbox_days)

    def keys_since(self, at: datetime) -> datetime:
        """Since when, by the time of events, an inbox of that time has the keys of what was handled."""
        return keys_since(at, self.inbox_days)

    def events_since(self, at: datetime) -> datetime:
        """Since when an outbox of that time has all that was published."""
        return at - timedelta(days=self.outbox_days)

    def short_for(self, again: Again, now: datetime) -> str | None:
        """A warning where events that are sent again are older than keys are kept; None where they are not."""
        if again.oldest is None or again.oldest >= self.keys_since(now):
            return None
        days = (now - again.oldest).days + 2
        return (
            f"warning: some of them are of {again.oldest:%Y-%m-%d}, and keys of handled events are kept for {self.inbox_days}"
            f" days: set CRM_INBOX_DAYS={days} for all services until `crm events pending` is empty, or one that is delivered"
            " twice takes effect twice"
        )
