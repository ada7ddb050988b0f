"""Documents with lines."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from bench.documents import catalogue, chains, quotes
from bench.leads import empty
from bench.report import Side
from bench.scenes import Options
from bench.sides.requests import loaded
from bench.suite import Suite


@asynccontextmanager
async def documents(suite: Suite, options: Options) -> AsyncIterator[Mapping[str, Side]]:
    await empty(suite)
    priced = await catalogue(suite)
    load = quotes(*priced, options)
    yield {
        "order to invoice": await chains(suite, *priced, options),
        "quote create, service": loaded(suite, suite.process("sales-api")["url"], load, settles=True),
        "quote create, gateway": loaded(suite, suite.gateway, load, settles=True),
    }
