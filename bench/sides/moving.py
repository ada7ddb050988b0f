"""A company that migrates the deals of another CRM."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from bench.driver import LoadFailed
from bench.migration import Migration
from bench.pipeline import Pipeline, made_up
from bench.report import Sample, Side
from bench.scenes import Options
from bench.suite import Suite

PIPELINE_DEALS = 8_800
"""The number in the real pipeline."""


@asynccontextmanager
async def pipeline(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Migrate a company. The value of its won deals must match to the cent."""
    wanted = Pipeline.read(options.pipeline) if options.pipeline else made_up(PIPELINE_DEALS)
    last: list[tuple[float, int]] = []

    async def move() -> Sample:
        # A company migrates once: in a second round its people and products would exist.
        if not last:
            headers = {"Authorization": f"Bearer {await suite.boss()}"}
            async with aiohttp.ClientSession(suite.gateway, headers=headers) as session:
                moving, started = Migration(session, wanted), time.monotonic()
                await moving.run()
                last.append((time.monotonic() - started, moving.requests))
                if (won := await moving.won()) != wanted.won:
                    raise LoadFailed(f"{won} was won, it should be {wanted.won}")
                if (statuses := await moving.statuses()) != wanted.statuses:
                    raise LoadFailed(f"deals are {statuses}, they should be {wanted.statuses}")
        return Sample(last[0][0], 0, {"deals": len(wanted.deals), "requests": last[0][1]})

    async def requests() -> Sample:
        return Sample(last[0][1] / last[0][0])

    async def deals() -> Sample:
        return Sample(len(wanted.deals) / last[0][0])

    yield {"pipeline": move, "pipeline, requests": requests, "pipeline, deals": deals}
