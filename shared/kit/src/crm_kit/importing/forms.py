"""What accompanies a file: the mapping, the formats of its values, and what to do with its rows."""

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Form, Query, UploadFile
from pydantic import Field

from crm_contracts.types import CurrencyCode
from crm_kit.importing.formats import DateFormat, DecimalFormat
from crm_kit.importing.text_files import Encoding
from crm_kit.records.listing import MAX_PAGE

Duplicates = Literal["allow", "skip", "report"]
Status = Literal["queued", "running", "completed", "canceled", "failed"]
Key = Literal["number", "email"]
Empty = Literal["keep", "clear"]

FileForm = Annotated[
    UploadFile,
    Field(
        description="CSV with a header (RFC 4180; a first line `sep=;` names the delimiter), NDJSON (.ndjson), or an Excel "
        "workbook (.xlsx). A row has up to 1,048,576 characters, a cell 64,000; there are up to 200 columns."
    ),
]

JobsLimit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Imports per page.")]
JobsAfter = Annotated[UUID | None, Query(description="`next` of the previous page.")]
JobsStatus = Annotated[Status | None, Query(description="Only imports with this status.")]
JobsEntity = Annotated[
    str | None, Query(max_length=50, description="Only imports of this kind of record, such as `lead`.")
]


@dataclass(frozen=True, slots=True)
class ImportForm:
    """The fields of the form beside the file, and the parameters of the query."""

    mapping: Annotated[
        str | None,
        Form(
            description='JSON object: column of the file → field (`{"Surname": "last_name", "Value": "budget.amount"}`). '
            'A key that begins with "=" is a constant (`{"=EUR": "budget.currency"}`). `owner` names the owner by '
            "e-mail address or name. Without it, columns with the names of fields are imported."
        ),
    ] = None
    duplicates: Annotated[
        Duplicates,
        Form(
            description="What to do with a row that likely repeats a record or an earlier row: `allow` it (duplicates are not "
            "searched), `skip` it, or import it and `report` it among the errors, at the column that is alike."
        ),
    ] = "allow"
    encoding: Annotated[
        Encoding,
        Form(description="The encoding of a CSV or NDJSON file, by its name in the WHATWG Encoding standard."),
    ] = "utf-8"
    decimal: Annotated[
        DecimalFormat,
        Form(
            description="How the file writes numbers, by an example. The default has a decimal point and no separator of "
            "thousands. A value in another form refuses its row."
        ),
    ] = "1234.56"
    date: Annotated[
        DateFormat,
        Form(
            description="How the file writes days. Values of the form YYYY-MM-DD are always understood; any other value "
            "refuses its row."
        ),
    ] = "YYYY-MM-DD"
    currency: Annotated[
        CurrencyCode | None,
        Form(description="Currency of every amount without a column or constant for its currency, ISO 4217."),
    ] = None
    sheet: Annotated[
        str | None,
        Form(max_length=31, description="Name of the sheet of a workbook; the first unless given."),
    ] = None
    key: Annotated[
        Key | None,
        Form(
            description="Update instead of creating: a row changes the record that has its `number` or `email`. Columns that "
            "the file does not have stay. By `email`, a row without such a record creates one."
        ),
    ] = None
    empty: Annotated[
        Empty,
        Form(description="What an empty cell does in an update: `keep` the value, or `clear` it."),
    ] = "keep"
    dry_run: Annotated[
        bool,
        Query(
            description="Try the import and write no record: the job then shows the first 20 rows as they would be "
            "(`preview`), and `…/errors` all errors."
        ),
    ] = False
