"""Which service answers which path: an entity's collection is answered by the service that declares it."""

from collections.abc import Mapping
from typing import Final

from crm_contracts.catalogue import all_entities

PREFIX: Final = "/api/v1/"

OF_NO_ENTITY: Final = {
    "activities": "activities",
    "auth": "identity",
    "calendar-feeds": "activities",
    "calendars": "activities",
    "funnel": "insights",
    "timeline": "activities",
}
"""Paths that show no entity's own records, and the service that answers them."""

IMPORTING: Final = ("sales", "activities")
"""The services that import files; each lists its own imports under ``imports``."""

UPSTREAM: Final[Mapping[str, str]] = OF_NO_ENTITY | {
    entity.collection: entity.service for entity in all_entities() if not entity.announcement
}
"""The first segment after the prefix (``settings``: the first two) and the service that owns it."""

ATTACHMENTS: Final = f"{PREFIX}attachments"
"""Files are sent to this path, and read below it at `/content`."""

SESSION: Final = f"{PREFIX}session"
"""Where pages log in and out."""
PUBLIC: Final = frozenset({f"{PREFIX}auth/token", f"{PREFIX}auth/revoke", f"{PREFIX}auth/jwks", SESSION})
"""Paths of the API that need no access token: they are how one gets, ends and verifies it."""
SECRET: Final = f"{PREFIX}calendars/"
"""The beginning of paths that have a secret in place of an access token."""


def is_public(path: str) -> bool:
    """Whether a path of the API needs no access token."""
    return path in PUBLIC or path.startswith(SECRET)


def upstream_of(path: str) -> str | None:
    """The service that owns a path; None for the gateway's own paths and for those nobody owns."""
    if not path.startswith(PREFIX):
        return None
    first, _, rest = path[len(PREFIX) :].partition("/")
    found = UPSTREAM.get(first)
    if found is None and first == "settings":
        found = UPSTREAM.get(f"settings/{rest.partition('/')[0]}")
    return found


def route_of(path: str) -> str | None:
    """The path's collection, such as ``/api/v1/leads``: what the gateway knows of the routes of a service."""
    first, _, rest = path[len(PREFIX) :].partition("/")
    return _ROUTES.get(first) or (_ROUTES.get(f"settings/{rest.partition('/')[0]}") if first == "settings" else None)


_ROUTES: Final = {name: PREFIX + name for name in UPSTREAM}


def is_transfer(method: str, path: str) -> bool:
    """Is this an import, the table of what it refused, or a file? Those are of any size, and have an idle limit instead of a
    deadline."""
    if path.startswith(ATTACHMENTS):
        return path.endswith("/content") or (method == "POST" and path == ATTACHMENTS)
    return path.endswith("/import") or (path.endswith("/errors") and "/jobs/" in path)
