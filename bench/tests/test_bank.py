import csv
import io
from datetime import date

import pytest

from bench.bank import TITLED, birth_date, leads_file, made_up

PERSON = {
    **next(iter(made_up(1))),
    "age": "58",
    "job": "management",
    "balance": "2143",
    "contact": "cellular",
    "poutcome": "failure",
}


def as_lead(**changed: str) -> dict[str, str]:
    [row] = csv.DictReader(io.StringIO(leads_file([PERSON | changed], "Deposit", date(2026, 11, 22)).decode()))
    return row


def test_a_row_becomes_a_lead() -> None:
    row = as_lead()
    assert tuple(row) == TITLED
    assert (row["last_name"], row["birth_date"], row["job_title"]) == (
        "(no name given) 00001",
        "1968-11-22",
        "management",
    )
    assert (row["budget.amount"], row["budget.currency"]) == ("2143", "EUR")
    assert (row["preferred_channel"], row["rating"]) == ("mobile", "cold")
    assert "balance" not in row["description"]


def test_a_debt_is_no_budget() -> None:
    row = as_lead(balance="-40")
    assert (row["budget.amount"], row["budget.currency"]) == ("", "")
    assert row["description"].endswith("balance: -40")


def test_what_is_unknown_stays_empty() -> None:
    row = as_lead(job="unknown", contact="unknown", poutcome="unknown")
    assert (row["job_title"], row["preferred_channel"], row["rating"]) == ("", "any", "")


@pytest.mark.parametrize(
    ("today", "born"), [(date(2028, 2, 29), date(1999, 3, 1)), (date(2028, 3, 1), date(1999, 3, 1))]
)
def test_somebody_is_as_old_as_the_file_says(today: date, born: date) -> None:
    assert birth_date(29, today) == born
