"""What a restore says about events and keys that are no longer kept."""

from datetime import UTC, datetime, timedelta

from crm_kit.operating.redelivery import Again
from crm_local.backup.retention import Retention

NOW = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)
KEPT = Retention(outbox_days=14, inbox_days=8)


def again(days: float | None) -> Again:
    """Events that are sent again, the oldest of them so many days old."""
    return Again(count=3, oldest=None if days is None else NOW - timedelta(days=days))


def test_events_whose_keys_are_kept_are_sent_again_without_a_warning() -> None:
    assert KEPT.short_for(again(None), NOW) is None
    assert KEPT.short_for(again(1), NOW) is None


def test_events_that_are_older_than_the_keys_say_how_long_keys_must_be_kept() -> None:
    warning = KEPT.short_for(again(12), NOW)
    assert warning is not None
    assert "date from 2026-04-22" in warning
    assert "CRM_INBOX_DAYS=14" in warning
    assert Retention(outbox_days=14, inbox_days=14).short_for(again(12), NOW) is None


def test_events_are_kept_for_as_long_as_the_outbox_keeps_them() -> None:
    assert KEPT.events_since(NOW) == NOW - timedelta(days=14)
