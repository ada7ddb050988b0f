"""Data of real people for an import: the Bank Marketing data (Moro, Rita and Cortez 2014, UCI, CC BY 4.0), as leads.

The columns are mapped as follows:
- `age` → `birth_date`: they reached that age on the day of the import, because the data has no dates;
- `job` → `job_title`, `contact` (cellular, telephone) → `preferred_channel` (mobile, phone);
- `balance`, the yearly average in euros → `budget`; a negative one goes to the description only;
- `poutcome`, how the earlier campaign ended → `rating`: success hot, other warm, failure cold;
- the data has no names: `last_name` is `(no name given)` and the row's number, which makes every row unique;
- everything else → `description`, unchanged.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from random import Random

PEOPLE = 45_211
JOBS = [
    "management",
    "technician",
    "entrepreneur",
    "blue-collar",
    "unknown",
    "retired",
    "admin.",
    "services",
    "self-employed",
    "student",
]
TITLED = (
    "topic",
    "last_name",
    "birth_date",
    "job_title",
    "preferred_channel",
    "budget.amount",
    "budget.currency",
    "rating",
    "source",
    "description",
)
CHANNELS = {"cellular": "mobile", "telephone": "phone"}
RATINGS = {"success": "hot", "other": "warm", "failure": "cold"}
TOLD = ("marital", "education", "default", "housing", "loan", "day", "month", "duration", "campaign", "previouscontact")


def rows(file: Path | None) -> Iterator[Mapping[str, str]]:
    """Return the rows of the file, or this many generated rows with its columns."""
    if file is None:
        yield from made_up(PEOPLE)
        return
    with file.open(newline="", encoding="utf-8") as text:
        yield from csv.DictReader(text)


def made_up(count: int) -> Iterator[Mapping[str, str]]:
    """Return generated people like those of the file, always the same."""
    chance = Random(45)
    for _ in range(count):
        yield {
            "age": str(chance.randrange(18, 95)),
            "job": chance.choice(JOBS),
            "balance": str(chance.randrange(-900, 9_000)),
            "contact": chance.choice(("cellular", "telephone", "unknown")),
            "poutcome": chance.choice(("unknown", "failure", "other", "success")),
            **dict.fromkeys(TOLD, "1"),
        }


def leads_file(people: Iterable[Mapping[str, str]], topic: str, today: date) -> bytes:
    """Return a CSV whose columns are fields of leads."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(TITLED)
    writer.writerows(lead(number, person, topic, today) for number, person in enumerate(people, 1))
    return text.getvalue().encode()


def lead(number: int, person: Mapping[str, str], topic: str, today: date) -> tuple[str, ...]:
    """Return one row of the file, in the order of ``TITLED``."""
    balance = int(person["balance"])
    told = [f"{name}: {person[name]}" for name in TOLD] + ([f"balance: {balance}"] if balance < 0 else [])
    return (
        topic,
        f"(no name given) {number:05}",
        birth_date(int(person["age"]), today).isoformat(),
        "" if person["job"] == "unknown" else person["job"],
        CHANNELS.get(person["contact"], "any"),
        str(balance) if balance >= 0 else "",
        "EUR" if balance >= 0 else "",
        RATINGS.get(person["poutcome"], ""),
        "campaign",
        ", ".join(told),
    )


def birth_date(age: int, today: date) -> date:
    """Return the date of birth of somebody who reaches this age today. For 29 February it is the day after."""
    try:
        return today.replace(year=today.year - age)
    except ValueError:
        return date(today.year - age, 3, 1)
