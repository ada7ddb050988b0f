import csv
import io
from decimal import Decimal

from bench.pipeline import Pipeline, accounts_file, deals_file, email_of, made_up

PIPELINE = made_up(200)
ACCOUNTS = {row["account"]: f"id of {row['account']}" for row in PIPELINE.accounts}
PRODUCTS = {row["product"]: f"id of {row['product']}" for row in PIPELINE.products}


def deals() -> list[tuple[dict[str, str], dict[str, str]]]:
    """Return each deal of the source, and as it is imported."""
    rows = csv.DictReader(io.StringIO(deals_file(PIPELINE, "EUR", ACCOUNTS, PRODUCTS).decode()))
    return list(zip([dict(deal) for deal in PIPELINE.deals], rows, strict=True))


def test_what_was_won_is_imported_with_its_value_and_days() -> None:
    won = [(was, row) for was, row in deals() if was["deal_stage"] == "Won"]
    assert won
    for was, row in won:
        assert (row["status"], row["stage"], row["actual_value.amount"]) == ("won", "close", was["close_value"])
        assert (row["opened_at"], row["closed_at"]) == (was["engage_date"], was["close_date"])
        assert row["customer.id"] == ACCOUNTS[was["account"]]
    assert PIPELINE.won == (len(won), sum(Decimal(was["close_value"]) for was, _ in won))


def test_what_was_lost_was_never_sold() -> None:
    lost = [row for was, row in deals() if was["deal_stage"] == "Lost"]
    assert lost
    assert {(row["status"], row["actual_value.amount"], row["actual_value.currency"]) for row in lost} == {
        ("lost", "", "")
    }


def test_a_product_spelled_two_ways_is_one() -> None:
    spelled = [row for was, row in deals() if was["product"] == "GTXPro"]
    assert spelled
    assert {row["product_id"] for row in spelled} == {"id of GTX Pro"}


def test_an_open_deal_without_an_account_has_no_customer() -> None:
    nobodys = [row for was, row in deals() if not was["account"]]
    assert nobodys
    assert {(row["status"], row["customer.type"], row["customer.id"]) for row in nobodys} == {("open", "", "")}


def test_a_deal_belongs_to_its_agent() -> None:
    assert email_of("Darcel Schlecht") == "darcel.schlecht@pipeline.example.org"
    assert {row["owner_email"] for _, row in deals()} == {email_of(deal["sales_agent"]) for deal in PIPELINE.deals}


def test_sectors_and_countries_are_mended() -> None:
    rows = list(
        csv.DictReader(io.StringIO(accounts_file(PIPELINE.accounts, "EUR", {"Account 004": "its id"}).decode()))
    )
    assert {row["industry"] for row in rows} == {"retail", "technology", "finance"}
    assert {row["billing_address.country"] for row in rows} == {"US", "PH", "KR"}
    assert rows[25]["parent_account_id"] == "its id"
    assert rows[0]["annual_revenue.amount"] == f"{Decimal(PIPELINE.accounts[0]['revenue']) * 1_000_000:.2f}"


def test_the_made_up_pipeline_is_always_the_same() -> None:
    assert made_up(50) == made_up(50)
    assert isinstance(made_up(1), Pipeline)
