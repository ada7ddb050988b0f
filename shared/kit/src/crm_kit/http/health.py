"""Whether a process lives and is ready, for whoever sends it work: the same two paths for apis and workers."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from crm_kit.http.web_figures import ROUTE
from crm_kit.process.handover import HANDOVER
from crm_kit.process.runtime import Runtime
from crm_kit.schema.standing import Standing
from crm_kit.store.presenter import to_json

Reasons = Callable[[Request], Awaitable[list[str]]]


def health_routes(reasons: Reasons) -> list[Route]:
    """``/healthz`` asks nobody; ``/readyz`` asks for the reasons why this process should get no work."""

    async def healthz(request: Request) -> Response:
        request.scope[ROUTE] = "/healthz"
        return Response(b'{"status":"ok"}', media_type="application/json")

    async def readyz(request: Request) -> Response:
        request.scope[ROUTE] = "/readyz"
        found = await reasons(request)
        body = {"status": "unready" if found else "ready", "reasons": found}
        return Response(to_json(body), 503 if found else 200, media_type="application/json")

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


async def unready(
    standing: Standing, runtime: Runtime, own: Callable[[], Sequence[str]], *, at_a_glance: bool = False
) -> list[str]:
    """Why a process should get no work: it ends, its database does not answer or has an older schema, or for a reason of its
    ``own``. The broker is not asked: writes are safe in the outbox. ``at_a_glance``: on any connection that is open."""
    if HANDOVER.ending:
        return ["the process is about to end"]
    reasons: list[str] = []
    try:
        async with runtime.db.glance() if at_a_glance else runtime.db.autocommit() as conn:
            reasons += await standing.reasons(conn)
    except (SQLAlchemyError, OSError) as error:
        reasons.append(f"the database does not answer ({type(error).__name__})")
    return [*reasons, *own()]
