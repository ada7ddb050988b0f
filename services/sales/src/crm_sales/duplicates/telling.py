"""Show duplicates to a caller who asked for them. Records that the caller may not read are shown as hidden."""

from typing import Any

from starlette.responses import Response

from crm_contracts.access import Privilege
from crm_contracts.sentences import said
from crm_kit.store.presenter import to_json
from crm_kit.work.uow import UnitOfWork
from crm_sales.duplicates.finding import Match, searches_for
from crm_sales.duplicates.known import TOO_COMMON, Known, look_for
from crm_sales.duplicates.likeness import Somebody

TOLD = ("type", "id", "number", "name", "company_name", "email", "phone", "mobile_phone", "created_at")


async def tell_duplicates_of(uow: UnitOfWork, record: Somebody) -> Response:
    """Return the likely duplicates of a record without creating it, in one statement."""
    uow.principal.require(record.entity(), Privilege.CREATE)
    searches = searches_for([record])

    async def look() -> Known:
        return await look_for(await uow.connection(), searches)

    known = await uow.reads.quickly(
        look, said("{too_common}; look for an e-mail address or a phone instead.", too_common=TOO_COMMON)
    )
    body = {"duplicates": [told(uow, match) for match in known.matches], "more": known.more}
    return Response(to_json(body), 200, {"cache-control": "no-store"}, "application/json")


def told(uow: UnitOfWork, match: Match) -> dict[str, Any]:
    """Convert a match to ``LikelyDuplicate``, or to ``HiddenDuplicate``."""
    if not readable(uow, match):
        return {"hidden": True}
    known = {field: getattr(match, field) for field in TOLD}
    return {**known, "reasons": match.reasons, "similarity": match.similarity}


def readable(uow: UnitOfWork, match: Match) -> bool:
    """Whether the caller may read the match."""
    return uow.reach(match.type).covers(match.owner_id, match.business_unit_id)
