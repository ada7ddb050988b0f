"""A process as it is before it has any connection: made before a fork, so that what it consists of is shared.

A fork shares a page of memory with its parent until one of them writes to it, and Python writes to every object that it
uses. What a parent has made costs its forks nothing, and what each of them makes costs all of them several times as much as
it is large (ADR 61).
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from crm_kit.configuration.environment import read
from crm_kit.configuration.settings import Settings
from crm_kit.http.server import config_of, serve
from crm_kit.http.web import complete
from crm_kit.process.runtime import Runtime, access_runtime, build_runtime, working_runtime
from crm_kit.schema.standing import needed
from crm_kit.worker.combined import run_combined
from crm_kit.worker.running import Work, run_worker


@dataclass(frozen=True)
class Prepared:
    """What one process of a service will run."""

    settings: Settings
    work: Work
    runtime: Runtime
    app: FastAPI | None
    """None in a worker, like ``config``."""
    config: uvicorn.Config | None

    def run(self) -> None:
        """Run until SIGTERM, in a fork. Raises SystemExit with its exit code."""
        app = self.app
        if app is None:
            sys.exit(run_worker(self.work, self.settings, self.runtime))
        if self.settings.role == "all":
            sys.exit(run_combined(lambda _: app, self.work, self.settings, self.config))
        serve(lambda _: app, self.settings, self.config)


def prepare(make_app: Callable[[Any], FastAPI], work: Work) -> Prepared:
    """Prepare the process that the environment describes. Raises SystemExit where that is wrong."""
    settings = read(work.settings)
    runtime = build_runtime(work.service, settings)
    if settings.role == "all":
        runtime.work = working_runtime(runtime)
    if settings.role != "api":
        working = runtime.work or runtime
        working.access = access_runtime(working)
    needed(work.service.metadata)
    if not settings.serves:
        return Prepared(settings, work, runtime, None, None)
    app = make_app(settings)
    app.state.prepared = runtime
    complete(app)
    config = config_of(app, settings)
    config.load()
    return Prepared(settings, work, runtime, app, config)
