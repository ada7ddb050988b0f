"""Write the table of metrics into docs/operations.md: python deploy/observability/metrics_table.py.

A test compares them.
"""

from importlib import import_module
from pathlib import Path

from crm_kit.signals.metrics import DECLARED, Declared
from crm_local.suite import SERVICES

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
BEGIN, END = "<!-- figures: deploy/observability/metrics_table.py -->\n", "<!-- end of figures -->\n"
UNITS = {"s": "seconds", "By": "bytes", "": ""}


def declared() -> list[Declared]:
    """Return every metric of every service by its name in Prometheus, without those of tests."""
    for service in SERVICES:
        for module in ("main", "worker"):
            import_module(f"{service.package}.{module}")
    import_module("crm_kit.http.server")
    return sorted(
        (one for name, one in DECLARED.items() if not name.startswith("test.")), key=lambda one: one.prometheus_name
    )


def table() -> str:
    """Return the table in the format of the document."""
    lines = ["| Figure | Type | Unit | Labels | Meaning |", "|---|---|---|---|---|"]
    for one in declared():
        labels = ", ".join(f"`{label}`" for label in one.prometheus_labels)
        lines.append(f"| `{one.prometheus_name}` | {one.kind} | {UNITS[one.unit]} | {labels} | {one.description} |")
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """Return the document with the current table."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
