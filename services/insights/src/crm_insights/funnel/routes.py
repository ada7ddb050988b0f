"""The HTTP face of the funnel."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from crm_insights.funnel.figures import figures_of
from crm_insights.funnel.schemas import Funnel
from crm_insights.funnel.selection import Selection
from crm_insights.funnel.table import EXAMPLE, as_table, wants_table
from crm_kit.http.requests import Route, Uow
from crm_kit.records.computed import computed

router = APIRouter(prefix="/funnel", tags=["funnel"], route_class=Route)


class FunnelQuery(Selection):
    """A selection, and how to show it."""

    format: Literal["json", "csv"] | None = Field(
        None, description="`json` or `csv`; unless given, CSV when `Accept` names `text/csv` and not JSON, else JSON."
    )


@router.get(
    "",
    response_model=Funnel,
    operation_id="get_funnel",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}, "example": EXAMPLE}}}},
)
async def get_funnel(request: Request, uow: Uow, query: Annotated[FunnelQuery, Query()]) -> Response:
    """The sales funnel: leads that become deals, and deals by stage with value, conversion and time, live from sales.

    It is made of the leads that were created and the opportunities that were opened in the period (one imported from
    another system, when it was opened there) and that you may read: 403 unless you may read opportunities. An example:
    `?period_from=2026-07-01&period_to=2026-09-30`. The figures follow sales within moments; `Crm-After` with the
    `Crm-Version` of a lead, opportunity or sales stage waits for it. The weak ETag changes
    with the figures, not with `as_of`.

    As CSV you get the stages, a line each, in the same order, with the names of the fields in the first line.
    """
    figures = await figures_of(uow, query)
    if wants_table(query.format, request.headers.get("accept")):
        answer = as_table(figures["stages"], request)
    else:
        answer = computed(uow, figures, request)
    answer.headers["vary"] = "Authorization, Accept"
    return answer
