"""The routes of an entity's imports: send a file, follow its job, read what was refused, stop it."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from crm_contracts.catalogue import entity_named
from crm_kit.http.requests import Route, Uow
from crm_kit.importing import jobs, refused
from crm_kit.importing.forms import FileForm, ImportForm, JobsAfter, JobsEntity, JobsLimit, JobsStatus
from crm_kit.importing.importer import Importer
from crm_kit.importing.jobs import ImportJob, ImportJobPage
from crm_kit.records.listing import DEFAULT_PAGE

ACCEPTED = """
The answer comes at once; the import runs in the background. `Location` is the job. 422 `unreadable-file` or
`invalid-mapping` if nothing can be imported; 429 `too-many-requests` while too many of your imports, rows or bytes wait.
"""


def add_import_routes(router: APIRouter, importer: Importer) -> None:
    """Add the five routes of an entity's imports to the router of its slice.

    Call it before the routes of a single record: `/jobs` would be taken for an id. What a row becomes is decided by the
    functions of the importer.
    """
    name = importer.entity.entity()
    collection = entity_named(name).collection
    described = f"Import {collection.replace('-', ' ')} from a CSV, NDJSON or Excel file. {importer.about}\n{ACCEPTED}"

    @router.post(
        "/import",
        response_model=ImportJob,
        status_code=202,
        description=described,
        **_called(f"import_{collection.replace('-', '_')}"),
    )
    async def accept(file: FileForm, form: Annotated[ImportForm, Depends()], uow: Uow) -> Response:
        return await jobs.accept(uow, importer, file, form)

    @router.get("/jobs", response_model=ImportJobPage, **_called(f"list_{name}_imports"))
    async def list_jobs(
        uow: Uow, limit: JobsLimit = DEFAULT_PAGE, after: JobsAfter = None, status: JobsStatus = None
    ) -> Response:
        """Your imports, newest first; all imports if you may read every record of this type."""
        return await jobs.list_jobs(uow, importer, limit, after, status)

    @router.get("/jobs/{job_id}", response_model=ImportJob, **_called(f"get_{name}_import"))
    async def job_status(job_id: UUID, uow: Uow) -> Response:
        """The progress of an import, and why it ended early. You see your own; all if you may read every record of this type."""
        return await jobs.job_status(uow, importer, job_id)

    @router.get("/jobs/{job_id}/errors", response_class=Response, **_called(f"list_{name}_import_errors"))
    async def job_errors(job_id: UUID, uow: Uow) -> Response:
        """The refused rows as CSV: row, column, code, message, and the row itself."""
        return await refused.job_errors(uow, importer, job_id)

    @router.post("/jobs/{job_id}/cancel", response_model=ImportJob, **_called(f"cancel_{name}_import"))
    async def cancel_job(job_id: UUID, uow: Uow) -> Response:
        """Cancel an import after the current chunk. Imported records stay. 409 `illegal-transition` if it has ended.

        Another user's import needs the privileges to read and write every record of this type.
        """
        return await jobs.cancel_job(uow, importer, job_id)


def all_imports(importers: Sequence[Importer]) -> APIRouter:
    """``GET /imports`` of a service; the gateway merges them all."""
    router = APIRouter(prefix="/imports", tags=["imports"], route_class=Route)

    @router.get("", response_model=ImportJobPage, operation_id="list_imports")
    async def list_imports(
        uow: Uow,
        limit: JobsLimit = DEFAULT_PAGE,
        after: JobsAfter = None,
        status: JobsStatus = None,
        entity: JobsEntity = None,
    ) -> Response:
        """Your imports, newest first, and all imports of those kinds of record of which you may read every one."""
        return await jobs.list_all_jobs(uow, importers, limit, after, status, entity)

    return router


def _called(operation: str) -> dict[str, Any]:
    """The id of an operation, which also makes its summary."""
    return {"name": operation, "operation_id": operation}
