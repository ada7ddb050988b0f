"""The rules, read and evaluated by Prometheus itself."""

import json
import subprocess
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # its stubs are no dependency of ours

from crm_local.observability import configuration
from tests.observability.queries import RULES, rules


def run(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_rules(promtool: str) -> None:
    run(promtool, "check", "rules", str(RULES / "recording.yml"), str(RULES / "alerts.yml"))


def test_prometheus_reads_the_configurations(promtool: str, tmp_path: Path) -> None:
    written = tmp_path / "prometheus.yml"
    written.write_text(json.dumps(configuration({"sales-api": "http://127.0.0.1:20000/metrics"})))
    run(promtool, "check", "config", str(written), str(RULES / "compose.yml"))


def test_each_alert_comes_and_goes(promtool: str) -> None:
    tests = RULES / "alerts.test.yml"
    run(promtool, "test", "rules", str(tests))
    tried = {one["alertname"] for test in yaml.safe_load(tests.read_text())["tests"] for one in test["alert_rule_test"]}
    assert tried == {rule["alert"] for rule in rules() if "alert" in rule}
