"""The worker dies repeatedly during an import: every row becomes a lead once."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from crm_kit.testing.figures import Figures
from crm_kit.testing.issuer import Issuer
from crm_kit.testing.people import principal

from .judging import calm, read_books, read_effects
from .stage import Stage, until


@pytest.mark.parametrize("rows", [2_500, pytest.param(50_000, marks=pytest.mark.large)])
async def test_an_import_whose_worker_is_killed_makes_each_row_once(
    stage: Stage, issuer: Issuer, figures: Figures, tmp_path: Path, rows: int
) -> None:
    api, _ = await stage.started(("sales", "api"), ("activities", "worker"))
    worker = stage.member("sales", "worker")
    file = tmp_path / "leads.csv"
    emails = {f"{uuid4().hex}@example.org" for _ in range(rows)}
    file.write_text("topic,last_name,email\n" + "".join(f"Card,Import,{email}\n" for email in emails))
    headers = {"authorization": f"Bearer {issuer.token(principal())}", "idempotency-key": str(uuid4())}
    async with aiohttp.ClientSession(headers=headers) as session:
        form = aiohttp.FormData()
        form.add_field("file", file.read_bytes(), filename="leads.csv", content_type="text/csv")
        async with session.post(f"{api.url}/api/v1/leads/import", data=form) as answer:
            assert answer.status == 202, await answer.text()
            job_url = api.url + answer.headers["location"]

        async def job() -> dict[str, Any]:
            async with session.get(job_url) as answer:
                found: dict[str, Any] = await answer.json()
                return found

        # It dies with its second chunk in progress, then after the commit of its second chunk, then at a random point.
        await worker.start("import.before_commit:2", ready=False)
        assert await worker.ended() == 137
        assert (await job())["done"] == 500, "the chunk in hand is lost, the one before it is not"
        await worker.start("import.after_commit:2", ready=False)
        assert await worker.ended() == 137
        before = (await job())["done"]
        assert before == 1500
        await worker.start()

        async def goes_on() -> bool:
            return bool((await job())["done"] > before)

        await until(goes_on, "the import goes on", every=0.01)
        await worker.kill()
        killed_at = (await job())["done"]
        await worker.start()

        async def completed() -> bool:
            return bool((await job())["status"] == "completed")

        seconds = await until(completed, "the import is completed", seconds=60 + rows / 100)
        told = await job()
    await calm(stage)
    async with stage.connect("sales") as conn:
        found = [row["email"] for row in await conn.fetch("select email from lead")]
    books, effects = await read_books(stage, "sales"), await read_effects(stage)
    figures(
        rows=rows,
        deaths=len(worker.deaths),
        third_kill_at_row=killed_at,
        leads=len(found),
        missing=len(emails - set(found)),
        twice=len(found) - len(set(found)),
        seconds_after_the_last_kill=seconds,
    )
    assert sorted(found) == sorted(emails)
    assert (told["total"], told["done"], told["failed"], told["skipped"]) == (rows, rows, 0, 0)
    assert books.balanced, books
    assert effects.exactly_once, effects
