"""Dashboards, alerts and documents refer to existing metrics, and each alert has a runbook."""

import re
import runpy
from pathlib import Path

from tests.observability.queries import OBSERVABILITY, TARGET, asked, base, grouped, queries, rules

CHECKOUT = Path(__file__).parents[2]
TABLE = runpy.run_path(str(OBSERVABILITY / "metrics_table.py"))


def test_every_query_asks_for_figures_and_labels_that_are_declared() -> None:
    declared = {one.prometheus_name: set(one.prometheus_labels) for one in TABLE["declared"]()}
    recorded = {rule["record"]: grouped(rule["expr"]) for rule in rules() if "record" in rule}
    known = {**declared, **recorded}
    for where, query in queries():
        found = asked(query)
        assert found, where
        for name, labels in found.items():
            assert base(name) in known, f"{where}: there is no {name}"
            assert labels <= known[base(name)] | TARGET, f"{where}: {name} has no {labels - known[base(name)] - TARGET}"
        whole = set().union(TARGET, *(known[base(name)] for name in found))
        assert grouped(query) <= whole, f"{where}: nothing has {grouped(query) - whole}"


def test_what_is_true_of_a_service_is_never_added_up() -> None:
    figures = "crm_outbox|crm_inbox_(?:stored|oldest)|crm_queue|crm_import_(?:jobs|resting|oldest)|crm_database"
    truth = re.compile(rf"\bsum[^(]*(?:by \([^)]*\) )?\((?:{figures})")
    assert [where for where, query in queries() if truth.search(query)] == []


def test_dashboards_are_those_of_their_source() -> None:
    written = {path.name: path.read_text() for path in (OBSERVABILITY / "grafana" / "dashboards").glob("*.json")}
    assert written == runpy.run_path(str(OBSERVABILITY / "dashboards.py"))["files"]()


def test_each_alert_has_its_runbook_and_each_runbook_its_alert() -> None:
    alerts = {rule["alert"]: rule for rule in rules() if "alert" in rule}
    urls = [rule["annotations"]["runbook_url"] for rule in alerts.values()]
    runbooks = sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / "docs" / "runbooks").glob("*.md"))
    assert sorted(urls) == runbooks
    for name, rule in alerts.items():
        text = (CHECKOUT / rule["annotations"]["runbook_url"]).read_text()
        assert f"Alert: `{name}`" in text
        parts = [line for line in text.splitlines() if line.startswith("## ")]
        assert parts == ["## Meaning", "## Impact", "## See", "## Do", "## Over when"], name
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_the_table_of_figures_is_that_of_the_code() -> None:
    document = (CHECKOUT / "docs" / "operations.md").read_text()
    assert TABLE["with_table"](document) == document, "run deploy/observability/metrics_table.py"
