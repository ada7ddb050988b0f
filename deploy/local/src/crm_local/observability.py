"""The configuration of a Prometheus for the suite on this machine: its ports and our rules."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crm_local.state import CHECKOUT

RULES = CHECKOUT / "deploy" / "observability" / "prometheus"


def write_configuration(path: Path, urls: Mapping[str, str]) -> None:
    """Write a Prometheus configuration for these processes, by name with the URL of their metrics."""
    path.write_text(json.dumps(configuration(urls), indent=2))


def configuration(urls: Mapping[str, str]) -> dict[str, Any]:
    """The configuration as data. The file is JSON, which is valid YAML for Prometheus."""
    targets = [{"targets": [urlsplit(url).netloc], "labels": {"process": name}} for name, url in urls.items()]
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(RULES / "recording.yml"), str(RULES / "alerts.yml")],
        "scrape_configs": [{"job_name": "liaison", "static_configs": targets}],
    }
