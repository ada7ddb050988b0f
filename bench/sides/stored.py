"""The disk space that is used."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bench.disk import LEADS, sizes
from bench.leads import empty
from bench.report import Sample, Side
from bench.scenes import Options
from bench.sides.files import csv_import
from bench.suite import Suite


@asynccontextmanager
async def disk(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    """Return the sides of ``bench.disk``."""
    await empty(suite)
    await suite.settled()

    async def fill() -> Sample:
        return await csv_import(suite, LEADS)

    async with sizes(suite, fill) as found:
        yield found
