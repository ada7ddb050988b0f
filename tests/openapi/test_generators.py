"""Foreign tools take the document: two linters and two generators of clients."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.node.tools import Node

HERE = Path(__file__).parent


def test_redocly_finds_no_error(node: Node, document_file: Path) -> None:
    node.run("redocly", "lint", document_file, "--format=stylish", cwd=document_file.parent)


def test_spectral_finds_no_error_by_its_rules_for_openapi(node: Node, document_file: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text('extends: ["spectral:oas"]\n')
    node.run("spectral", "lint", document_file, "--ruleset", rules, "--fail-severity=error", cwd=tmp_path)


def test_linters_find_an_error(node: Node, document_file: Path, tmp_path: Path) -> None:
    """The linters above would be of no use if they took everything."""
    broken = json.loads(document_file.read_text())
    broken["components"]["schemas"]["Money"]["type"] = "coins"
    (tmp_path / "broken.json").write_text(json.dumps(broken))
    done = subprocess.run(
        [node.program, node.tool("redocly"), "lint", "broken.json"],
        cwd=tmp_path,
        env={**os.environ, "REDOCLY_TELEMETRY": "off"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1


def compile_client(node: Node, document_file: Path, directory: Path) -> Path:
    """Make types of a document, compile ``client.ts`` with them, and return the program."""
    for name in ("client.ts", "tsconfig.json"):
        (directory / name).write_text((HERE / name).read_text())
    (directory / "package.json").write_text('{"type": "module"}')
    node.link(directory)
    node.run("openapi-typescript", document_file, "--output", directory / "api.ts", cwd=directory)
    node.run("tsc", "--project", directory, cwd=directory)
    return directory / "out" / "client.js"


def test_a_python_client_is_made_without_a_warning(document_file: Path, tmp_path: Path) -> None:
    programs = Path(sys.executable).parent
    done = subprocess.run(
        [
            *(programs / "openapi-python-client", "generate", "--path", document_file),
            *("--meta", "none", "--output-path", tmp_path / "client", "--fail-on-warning"),
        ],
        # It formats what it made with ruff.
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', '')}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout.lower(), done.stdout
    made = (tmp_path / "client" / "models" / "lead_read.py").read_text()
    assert "status: LeadStatus" in made
