"""Real deals for a migration: the B2B sales pipeline (CRM Sales Opportunities, Maven Analytics, public domain).

The files have faults, which are handled as follows:
- the product `GTXPro` of 1,480 deals is read as `GTX Pro`, its name in the list of products;
- the sector `technolgy` becomes `technology`, the country `Philipines` PH, and `Korea`, which is ambiguous, KR;
- 1,425 open deals have no account: they are imported without a customer, which only a won deal needs;
- 500 deals in prospecting have no start date: they start with the import;
- a lost deal has a closing value of 0: it gets no actual value. It has no reason either, so it becomes `canceled`;
- deals have no name: they are named after product and account, and their description has the other system's id;
- five of the 35 agents have no deals: they are created nevertheless;
- no file has a currency: amounts are in the organisation's own. Revenues are in millions.

Their stages map to ours: Prospecting is qualify, Engaging is develop. Won and lost deals were in close.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

Rows = Sequence[Mapping[str, str]]

PRODUCTS = {"GTXPro": "GTX Pro"}
SECTORS = {"technolgy": "technology"}
COUNTRIES = {
    "Belgium": "BE",
    "Brazil": "BR",
    "China": "CN",
    "Germany": "DE",
    "Italy": "IT",
    "Japan": "JP",
    "Jordan": "JO",
    "Kenya": "KE",
    "Korea": "KR",
    "Norway": "NO",
    "Panama": "PA",
    "Philipines": "PH",
    "Poland": "PL",
    "Romania": "RO",
    "United States": "US",
}
STAGES = {"Prospecting": "qualify", "Engaging": "develop", "Won": "close", "Lost": "close"}
MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Pipeline:
    """The rows of the four files, unchanged."""

    accounts: Rows
    products: Rows
    teams: Rows
    deals: Rows

    @classmethod
    def read(cls, folder: Path) -> "Pipeline":
        """Read the files of a folder."""

        def rows(name: str) -> Rows:
            with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as text:
                return list(csv.DictReader(text))

        return cls(rows("accounts"), rows("products"), rows("sales_teams"), rows("sales_pipeline"))

    @property
    def won(self) -> tuple[int, Decimal]:
        """Return the number of won deals and the sum of their values, which the migration must reproduce."""
        values = [Decimal(deal["close_value"]) for deal in self.deals if deal["deal_stage"] == "Won"]
        return len(values), sum(values, Decimal(0))

    @property
    def statuses(self) -> Counter[str]:
        """Return the number of deals that are open, won and lost."""
        return Counter(status_of(deal) for deal in self.deals)


def made_up(deals: int, seed: int = 35) -> Pipeline:
    """Return a generated pipeline with the columns and faults of the real one, always the same."""
    chance = Random(seed)
    accounts = [
        {
            "account": f"Account {number:03}",
            "sector": chance.choice(["retail", "technolgy", "finance"]),
            "year_established": str(chance.randrange(1950, 2016)),
            "revenue": f"{chance.randrange(100, 500_000) / 100:.2f}",
            "employees": str(chance.randrange(10, 9_000)),
            "office_location": chance.choice(["United States", "Philipines", "Korea"]),
            "subsidiary_of": f"Account {number % 7:03}" if number > 20 and number % 5 == 0 else "",
        }
        for number in range(40)
    ]
    products = [
        {"product": "GTX Pro", "series": "GTX", "sales_price": "4821"},
        {"product": "MG Special", "series": "MG", "sales_price": "55"},
        {"product": "GTK 500", "series": "GTK", "sales_price": "26768"},
    ]
    teams = [
        {
            "sales_agent": f"Agent {number:02}",
            "manager": f"Manager {number % 3}",
            "regional_office": f"Region {number % 3}",
        }
        for number in range(9)
    ]
    made = []
    for number in range(deals):
        stage = chance.choice(["Won", "Won", "Lost", "Engaging", "Prospecting"])
        closed = stage in ("Won", "Lost")
        made.append(
            {
                "opportunity_id": f"{number:08X}",
                "sales_agent": chance.choice(teams[:8])["sales_agent"],
                "product": chance.choice(["GTXPro", "GTX Pro", "MG Special", "GTK 500"]),
                "account": chance.choice(accounts)["account"] if closed or chance.random() < 0.3 else "",
                "deal_stage": stage,
                "engage_date": ""
                if stage == "Prospecting"
                else f"2016-{chance.randrange(10, 13)}-{chance.randrange(1, 29):02}",
                "close_date": f"2017-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}" if closed else "",
                "close_value": {"Won": str(chance.randrange(38, 30_000)), "Lost": "0"}.get(stage, ""),
            }
        )
    return Pipeline(accounts, products, teams, made)


def product_of(deal: Mapping[str, str]) -> str:
    return PRODUCTS.get(deal["product"], deal["product"])


def status_of(deal: Mapping[str, str]) -> str:
    return {"Won": "won", "Lost": "lost"}.get(deal["deal_stage"], "open")


def email_of(person: str) -> str:
    """Return a log-in for a person of whom only the name is known."""
    return f"{person.lower().replace(' ', '.')}@pipeline.example.org"


def accounts_file(accounts: Iterable[Mapping[str, str]], currency: str, parents: Mapping[str, str]) -> bytes:
    """Return a CSV whose columns are fields of accounts. ``parents`` maps names to the ids of parent accounts."""
    columns = ("name", "industry", "employees", "annual_revenue.amount", "annual_revenue.currency")
    return table(
        (*columns, "billing_address.country", "parent_account_id", "description"),
        (
            (
                account["account"],
                SECTORS.get(account["sector"], account["sector"]),
                account["employees"],
                f"{Decimal(account['revenue']) * MILLION:.2f}",
                currency,
                COUNTRIES[account["office_location"]],
                parents.get(account["subsidiary_of"], ""),
                f"Established {account['year_established']}",
            )
            for account in accounts
        ),
    )


def deals_file(pipeline: Pipeline, currency: str, accounts: Mapping[str, str], products: Mapping[str, str]) -> bytes:
    """Return a CSV whose columns are those of an import of opportunities. Names are replaced by the given ids."""
    prices = {product["product"]: product["sales_price"] for product in pipeline.products}
    columns = ("name", "customer.type", "customer.id", "stage", "status", "opened_at", "closed_at", "product_id")
    amounts = ("estimated_value.amount", "estimated_value.currency", "actual_value.amount", "actual_value.currency")
    return table(
        (*columns, *amounts, "owner_email", "description"),
        (
            (
                f"{product_of(deal)} for {deal['account'] or 'somebody'}",
                "account" if deal["account"] else "",
                accounts[deal["account"]] if deal["account"] else "",
                STAGES[deal["deal_stage"]],
                status_of(deal),
                deal["engage_date"],
                deal["close_date"],
                products[product_of(deal)],
                prices[product_of(deal)],
                currency,
                deal["close_value"] if status_of(deal) == "won" else "",
                currency if status_of(deal) == "won" else "",
                email_of(deal["sales_agent"]),
                f"Imported as {deal['opportunity_id']}",
            )
            for deal in pipeline.deals
        ),
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()
