"""Who of our accounts and contacts a new customer may already be: same e-mail or phone, similar name.

Names are similar from a trigram similarity (pg_trgm) of 0.6, which a migration made this database's threshold.
"""

from dataclasses import dataclass
from typing import Any

from crm_contracts.access import Privilege
from crm_kit.db import fetch
from crm_kit.errors import DomainError
from crm_kit.uow import UnitOfWork

SHOWN = 20


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is known of somebody: a name, an e-mail address, telephone numbers."""

    name: str | None = None
    email: str | None = None
    phones: tuple[str, ...] = ()


async def refuse_duplicates(uow: UnitOfWork, *, account: Likeness | None, contact: Likeness | None) -> None:
    """409 ``possible-duplicates`` listing likely accounts and contacts; what the caller may not read only as hidden."""
    parts: list[str] = []
    parameters: list[Any] = []
    for likeness, part in ((account, LIKE_ACCOUNT), (contact, LIKE_CONTACT)):
        if likeness is not None:
            first = len(parameters)
            parts.append(part.format(*(f"${first + n}" for n in (1, 2, 3)), limit=SHOWN))
            parameters += [likeness.email, list(likeness.phones), likeness.name.lower() if likeness.name else None]
    if not parts:
        return
    found = await fetch(await uow.transaction(), " union all ".join(parts), parameters)
    if found:
        raise DomainError(
            "possible-duplicates",
            "Similar accounts or contacts exist; link one of them, or send allow_duplicates: true.",
            members={"duplicates": [_shown(uow, row) for row in found[:SHOWN]]},
        )


# Each rule has its index, which the planner combines. What is not known is null and matches nothing.
LIKE_ACCOUNT = """
(select 'account', id, name, owner_id, business_unit_id, concat_ws(',',
    case when email = {0}::text then 'email' end,
    case when phone = any({1}::text[]) then 'phone' end,
    case when lower(name) % {2}::text then 'name' end)
from account where email = {0}::text or phone = any({1}::text[]) or lower(name) % {2}::text limit {limit})
"""
# Shown by its number: a problem document is no place for a person's name.
LIKE_CONTACT = """
(select 'contact', id, number, owner_id, business_unit_id, concat_ws(',',
    case when email = {0}::text then 'email' end,
    case when phone = any({1}::text[]) or mobile_phone = any({1}::text[]) then 'phone' end,
    case when lower(full_name) % {2}::text then 'name' end)
from contact where email = {0}::text or phone = any({1}::text[]) or mobile_phone = any({1}::text[])
    or lower(full_name) % {2}::text limit {limit})
"""


def _shown(uow: UnitOfWork, row: Any) -> dict[str, Any]:
    kind, record_id, name, owner, unit, reasons = row
    if uow.principal.covers(kind, Privilege.READ, owner, unit, uow.runtime.directory.tree):
        return {"type": kind, "id": record_id, "name": name, "reasons": reasons.split(",")}
    return {"hidden": True}
