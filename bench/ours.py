"""Our sides: the measurements of the running suite, with relay and all consumers."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from bench.report import Side
from bench.scenes import Options, Ours
from bench.sides.backbone import events
from bench.sides.files import bank
from bench.sides.held import footprint
from bench.sides.moving import pipeline
from bench.sides.priced import documents
from bench.sides.prices import cost
from bench.sides.requests import growth, reads, writes
from bench.sides.stored import disk
from bench.suite import Suite

Sides = Callable[[Suite, Options], AbstractAsyncContextManager[Mapping[str, Side]]]

SCENES: Final[Mapping[str, Sides]] = {
    "disk": disk,
    "writes": writes,
    "reads": reads,
    "growth": growth,
    "events": events,
    "documents": documents,
    "bank": bank,
    "pipeline": pipeline,
    "footprint": footprint,
    "cost": cost,
}


def ours(suite: Suite) -> Ours:
    """Return the plug for a running suite."""

    @asynccontextmanager
    async def plug(scene: str, options: Options) -> AsyncIterator[Mapping[str, Side]]:
        async with SCENES[scene](suite, options) as sides:
            yield sides

    return plug
