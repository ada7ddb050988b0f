"""The queries of our dashboards, alerts and recording rules."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours

OBSERVABILITY = Path(__file__).parents[2] / "deploy" / "observability"
RULES = OBSERVABILITY / "prometheus"
SUFFIXES = ("_bucket", "_count", "_sum")
TARGET = {"service_name", "crm_role", "instance", "job", "process", "le"}
"""Labels that every metric has, that scraping adds, or that the buckets of a histogram have."""

_METRIC = re.compile(r"\b((?:liaison:|crm_|http_|db_|process_|messaging_|cpython_)[a-z0-9_:]+)(?:{([^}]*)})?")
_BY = re.compile(r"\b(?:by|on) \(([^)]*)\)")
_MATCH = re.compile(r'(\w+)\s*(?:=~|!=|!~|=)\s*"')


def rules() -> list[dict[str, Any]]:
    """Return every alert and recording rule."""
    files = [yaml.safe_load((RULES / f"{name}.yml").read_text()) for name in ("recording", "alerts")]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """Return every query with its place."""
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]
    for path in sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]


def asked(query: str) -> dict[str, set[str]]:
    """Return the metrics of a query, with the labels that it matches."""
    found: dict[str, set[str]] = {}
    for name, matchers in _METRIC.findall(_BY.sub("", query)):
        found.setdefault(name, set()).update(_MATCH.findall(matchers))
    return found


def grouped(query: str) -> set[str]:
    """Return the labels that a query groups by."""
    return {label.strip() for group in _BY.findall(query) for label in group.split(",") if label.strip()}


def base(name: str) -> str:
    """Return the metric to which a series of a histogram belongs."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix) if name.endswith("_seconds" + suffix) else name
    return name
