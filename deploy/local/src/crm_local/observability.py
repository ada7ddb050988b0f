"""What a Prometheus beside this machine's suite needs: which ports to read, and our rules."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crm_local.state import CHECKOUT

RULES = CHECKOUT / "deploy" / "observability" / "prometheus"


def write_configuration(path: Path, urls: Mapping[str, str]) -> None:
    """Write a configuration of Prometheus for these processes, by name with the URL of their figures."""
    path.write_text(json.dumps(configuration(urls), indent=2))


def configuration(urls: Mapping[str, str]) -> dict[str, Any]:
    """The same as data. It is JSON, which Prometheus reads as the YAML that it is, too."""
    targets = [{"targets": [urlsplit(url).netloc], "labels": {"process": name}} for name, url in urls.items()]
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(RULES / "recording.yml"), str(RULES / "alerts.yml")],
        "scrape_configs": [{"job_name": "liaison", "static_configs": targets}],
    }
