"""Processes import jobs. The records of a chunk, their events and the checkpoint commit together.

A worker that is killed loses only its current chunk, which is processed again. No row is imported twice. A failing chunk is
repeated row by row, and a row that fails is refused. A job that still fails is postponed, longer each time, and ends as
``failed``.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from crm_kit import clock
from crm_kit.backoff import Backoff
from crm_kit.configuration.settings import Settings
from crm_kit.failpoints import hit
from crm_kit.importing import queue
from crm_kit.importing.chunk import import_rows, in_one_chunk, mapping_of, places
from crm_kit.importing.importer import Importer
from crm_kit.importing.outcome import SHOWN_ROWS, Outcome
from crm_kit.importing.queue import Job, StoredRow
from crm_kit.process.runtime import Runtime
from crm_kit.signals.logs import working
from crm_kit.signals.metrics import counter, histogram, observed
from crm_kit.signals.telemetry import SpanKind, span, trace_id_of
from crm_kit.store.outages import database_away, database_busy, ran_out_of_time
from crm_kit.store.pace import Pace
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork
from crm_kit.work.violations import breaks_a_constraint, violation

log = structlog.get_logger(__name__)

CHUNK = 500
CHECKED_CHUNK = 50
"""The most rows of a chunk whose rows are compared with all stored records."""
CHECKED_SECONDS = 1.0
"""Seconds that such a chunk should take, because others wait for it."""
LANES = 2
LANES_BESIDE_AN_API = 1
"""Next to an api, a worker has only two connections, and its other loops need one."""
POLL_SECONDS = 1.0
LOOKS = 5
"""The most jobs that a lane tries before it waits, if other lanes have all rows of these jobs."""
CLEAN_SECONDS = 30.0
REHEARSED: Final = timedelta(days=1)
"""How long a dry run is kept after its end. Whoever asked for it has read it, and it shows rows of people."""
JOBS_REMEMBERED = 1000

CHUNK_SECONDS = histogram("crm.import.chunk", "Time from the first row of a chunk to its commit.", "entity")
ROWS = counter("crm.import.rows", "Processed rows, including refused rows.", "entity")
FAILED = counter("crm.import.failed", "Failures of an import that no single row caused.", "entity")
LANES_BUSY = observed("crm.import.lanes_busy", f"Chunks being processed, at most {LANES}.")


def lanes_of(settings: Settings) -> int:
    """Return how many chunks a process works on at a time. Each takes a connection."""
    return LANES_BESIDE_AN_API if settings.role == "all" else LANES


class ImportLoop:
    """Processes the jobs of one service's importers, ``lanes_of`` chunks at a time: one is made while another is written."""

    def __init__(self, runtime: Runtime, importers: Sequence[Importer]) -> None:
        self._runtime = runtime
        self._importers = {importer.entity.entity(): importer for importer in importers}
        self._paces: list[Pace] = []
        self._stopping = asyncio.Event()
        self._busy = 0
        self._singly: dict[UUID, int] = {}
        """The number of rows that are taken one by one after an unexpected error, by job, so that the failing row is found."""
        self._sizes: dict[UUID, int] = {}
        """The size of chunks of jobs whose rows take long to compare, or need earlier rows to be stored, by job."""

    def stop(self) -> None:
        """Return from ``run`` after the current chunks."""
        self._stopping.set()
        for pace in self._paces:
            pace.wake()

    async def run(self) -> None:
        """Process jobs until stopped. It waits while the database is unavailable."""
        with LANES_BUSY.reading(lambda: [((), self._busy)]):
            await self._run_lanes()

    async def _run_lanes(self) -> None:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(lanes_of(self._runtime.settings)):
                pace = Pace(self._runtime.notifier, queue.WAKE_CHANNEL, POLL_SECONDS)
                self._paces.append(pace)
                lanes.create_task(self._run_lane(pace))
            lanes.create_task(self._clean())

    async def _run_lane(self, pace: Pace) -> None:
        backoff = Backoff(0.5, 10.0)
        while not self._stopping.is_set():
            try:
                unfinished = await self._any_unfinished()
                worked = unfinished and await self.work_chunk()
            except (SQLAlchemyError, OSError) as error:
                if isinstance(error, OSError) or database_away(error):
                    log.warning("import.waiting", error=type(error).__name__)
                else:
                    log.error("import.unforeseen", exc_info=error)
                await backoff.wait(self._stopping)
                continue
            except Exception as error:  # no error of one job may stop the others
                log.error("import.unforeseen", exc_info=error)
                await backoff.wait(self._stopping)
                continue
            backoff.reset()
            if not worked:
                await pace.rest(found=unfinished)

    async def _any_unfinished(self) -> bool:
        """A look that needs no transaction, because there is nearly always nothing."""
        async with self._runtime.db.autocommit() as conn:
            return await queue.any_unfinished(conn)

    async def work_chunk(self) -> bool:
        """Process the next chunk of the owner whose turn it is. Returns False if there is none.

        After an error, the chunk is repeated row by row, or its job is postponed or ended. Raises only errors that prevent this,
        such as an outage.
        """
        taken: list[Job] = []
        try:
            return await self._work_chunk(taken)
        except Exception as error:
            if not taken or isinstance(error, OSError) or database_away(error):
                raise
            await self._deal_with(taken[-1], error)
            return True

    async def _work_chunk(self, taken: list[Job]) -> bool:
        async with self._runtime.db.begin() as conn:
            job, rows = await self._take(conn, taken)
            if job is None:
                return False
            if not rows:
                return True
            began = clock.monotonic()
            self._busy += 1
            try:
                uow = await self._import(conn, job, rows)
            finally:
                self._busy -= 1
            hit("import.before_commit")
        hit("import.after_commit")
        seconds = clock.monotonic() - began
        CHUNK_SECONDS.labels(job.entity_type).observe(seconds)
        ROWS.labels(job.entity_type).inc(len(rows))
        self._note_pace(job, len(rows), seconds)
        if not job.dry_run:
            uow.announce()
        return True

    async def _take(self, conn: AsyncConnection, taken: list[Job]) -> tuple[Job | None, Sequence[StoredRow]]:
        """Return a job and rows to import: no rows if the job ended instead, and no job if there is none."""
        for _ in range(LOOKS):
            job = await queue.claim(conn, list(self._importers), [job.id for job in taken])
            if job is None:
                await queue.seat_new_owners(conn)
                break
            taken.append(job)
            if await self._ended(conn, job):
                return job, []
            if self._needs_order(job) and not await queue.lock_job(conn, job):
                continue
            if rows := await queue.take_rows(conn, job, self._size(job)):
                kept = in_one_chunk(self._importers[job.entity_type], job, rows)
                if len(kept) < len(rows):
                    self._remember(self._sizes, job, max(1, len(rows) // 2))
                return job, kept
            if await queue.complete(conn, job):
                self._forget(job)
                return job, []
        return None, []

    def _needs_order(self, job: Job) -> bool:
        """Whether only one lane at a time processes the job: its rows are compared with earlier rows, change what those made, or
        name it."""
        if job.compares or job.key:
            return True
        return not job.dry_run and mapping_of(self._importers[job.entity_type], job).names_its_kind

    async def _ended(self, conn: AsyncConnection, job: Job) -> bool:
        """End the job if its caller is inactive or was revoked. Returns whether it ended."""
        if not job.active:
            why = "caller-inactive", "The user who sent the file is disabled. Send the rest as another user."
        elif job.revocation is not None and job.revocation.voids(job.principal.issued_at, job.principal.sequence):
            why = (
                "rights-changed",
                "Your rights or your password have changed since you sent the file. Log in again and send the rest.",
            )
        else:
            return False
        log.warning("import.stopped", reason=why[0], **_ids(job))
        await queue.fail(conn, job, *why)
        self._forget(job)
        return True

    async def _import(self, conn: AsyncConnection, job: Job, rows: Sequence[StoredRow]) -> UnitOfWork:
        """Import rows, flush, and write the checkpoint. A row that is taken alone is refused if that fails."""
        singly = job.id in self._singly
        noted: dict[str, str | int] = {"crm.import_job_id": str(job.id), "crm.rows": len(rows)}
        with (
            span(f"import {job.entity_type}", SpanKind.INTERNAL, job.traceparent, noted) as traced,
            working(partial(_ids, job)),
        ):
            cause = Cause(job.correlation_id, traceparent=traced.traceparent)
            uow = UnitOfWork(self._runtime, job.principal, cause, conn=conn, rehearses=job.dry_run)
            if not singly:
                await self._write(uow, conn, job, rows)
                return uow
            try:
                async with conn.begin_nested():
                    await self._write(uow, conn, job, rows)
                return uow
            except Exception as error:
                if isinstance(error, OSError) or database_away(error) or database_busy(error):
                    raise
                outcome = Outcome(failed=1)
                if (told := await violation(error, uow)) is not None:
                    outcome.refuse(*rows[0], places(mapping_of(self._importers[job.entity_type], job), told))
                else:
                    log.error("import.row_failed", line=rows[0][0], exc_info=error)
                    outcome.refuse(*rows[0], [_bare(error)])
                if job.dry_run and job.seen < SHOWN_ROWS:
                    outcome.preview.append({"row": rows[0][0], "action": "refuse", "record": None})
                await queue.finish_chunk(conn, job, rows, outcome)
                # The unit of work of the failed row may hold changes that were not written.
                return UnitOfWork(self._runtime, job.principal, uow.cause, conn=conn)

    async def _write(self, uow: UnitOfWork, conn: AsyncConnection, job: Job, rows: Sequence[StoredRow]) -> None:
        importer = self._importers[job.entity_type]
        if job.dry_run:
            # Everything is written, so that the database judges it, and taken back.
            trial = await conn.begin_nested()
            try:
                outcome = await import_rows(uow, importer, job, rows)
                await uow.flush()
            finally:
                await trial.rollback()
        else:
            outcome = await import_rows(uow, importer, job, rows)
            await uow.flush()
        await queue.finish_chunk(conn, job, rows, outcome)

    async def _deal_with(self, job: Job, error: Exception) -> None:
        """Handle the error of a whole chunk: make the next chunks smaller, postpone the job, or end it."""
        if database_busy(error):
            log.warning("import.busy", error=type(error).__name__, **_ids(job))
            async with self._runtime.db.begin() as conn:
                await queue.defer(conn, job)
            return
        size = self._size(job)
        if ran_out_of_time(error) and size > 1:
            self._remember(self._sizes, job, max(1, size // 4))
            return
        if breaks_a_constraint(error) and job.id not in self._singly:
            # One of the rows repeats a value that must be unique. Taken one by one, the others are imported.
            self._remember(self._singly, job, CHUNK)
            return
        FAILED.labels(job.entity_type).inc()
        log.error("import.unforeseen", exc_info=error, attempts=job.attempts, **_ids(job))
        if job.id not in self._singly:
            self._remember(self._singly, job, CHUNK)
            return
        async with self._runtime.db.begin() as conn:
            if not await queue.postpone(conn, job):
                message = "An internal error occurred. Sending the file again does not help: ask your operators."
                await queue.fail(conn, job, "internal-error", message)
                self._forget(job)

    def _size(self, job: Job) -> int:
        if job.id in self._singly:
            return 1
        return self._sizes.get(job.id, _most(job))

    def _note_pace(self, job: Job, rows: int, seconds: float) -> None:
        """Adapt the size of a job's next chunk to the time that this one took, or let it grow again after a whole chunk."""
        if (left := self._singly.get(job.id)) is not None:
            if left > rows:
                self._singly[job.id] = left - rows
            else:
                del self._singly[job.id]
        elif job.compares:
            size = self._size(job)
            if seconds > CHECKED_SECONDS:
                self._remember(self._sizes, job, max(1, size // 2))
            elif seconds < CHECKED_SECONDS / 4 and size < CHECKED_CHUNK:
                self._sizes[job.id] = min(CHECKED_CHUNK, size * 2)
        elif job.id in self._sizes and rows >= self._sizes[job.id]:
            self._sizes[job.id] = min(CHUNK, rows * 2)

    def _remember(self, what: dict[UUID, int], job: Job, value: int) -> None:
        if len(what) >= JOBS_REMEMBERED:
            what.pop(next(iter(what)))
        what[job.id] = value

    def _forget(self, job: Job) -> None:
        self._singly.pop(job.id, None)
        self._sizes.pop(job.id, None)

    async def _clean(self) -> None:
        """Call ``clean`` at intervals until stopped."""
        while not self._stopping.is_set():
            try:
                await self.clean()
            except (SQLAlchemyError, OSError) as error:
                log.warning("import.not_cleaned", error=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(CLEAN_SECONDS):
                    await self._stopping.wait()

    async def clean(self) -> None:
        """Delete remaining rows of jobs that ended early, jobs that ended ``import_days`` ago, and old dry runs."""
        gone = True
        while gone and not self._stopping.is_set():
            async with self._runtime.db.begin() as conn:
                gone = await queue.clean(conn) > 0
        now, kept = clock.now(), timedelta(days=self._runtime.settings.import_days)
        gone = True
        while gone and not self._stopping.is_set():
            async with self._runtime.db.begin() as conn:
                gone = await queue.forget(conn, now - kept, now - min(kept, REHEARSED))


def _most(job: Job) -> int:
    return CHECKED_CHUNK if job.compares else CHUNK


def _ids(job: Job) -> dict[str, object]:
    return {**job.ids, "trace_id": trace_id_of(job.traceparent)}


def _bare(error: Exception) -> tuple[str, str, str]:
    """Return the error that is reported for a row after an unexpected failure. It contains nothing of the row."""
    if ran_out_of_time(error):
        return "", "comparison-too-slow", "Comparing this row took too long; import it with duplicates=allow."
    return "", "internal-error", "Something went wrong with this row."
