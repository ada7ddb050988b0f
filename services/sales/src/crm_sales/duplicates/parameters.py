"""Request parameters about duplicates."""

from typing import Annotated

from fastapi import Query

from crm_kit.records.listing import MAX_PAGE
from crm_sales.duplicates.schemas import OnDuplicates

DuplicatesChoice = Annotated[
    OnDuplicates,
    Query(
        description="`report` looks for likely duplicates first and answers 409 `possible-duplicates` with their list; "
        "`allow` does not look."
    ),
]

PageLimit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Records with duplicates per page, 1 to 200.")]
PageAfter = Annotated[str | None, Query(max_length=2000, description="`next` of the page before.")]

CompareNames = Annotated[
    bool,
    Query(
        description="Whether similar names count. Without them only equal e-mail addresses and phones do, and a million "
        "records take minutes instead of hours."
    ),
]
