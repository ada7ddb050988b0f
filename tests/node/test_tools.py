"""The tools of npm come from whatever registry the machine uses, in the versions of the lock."""

import json
from pathlib import Path

from tests.node.tools import PLACE, Node


def test_the_lock_names_no_host_and_every_package_by_its_hash() -> None:
    packages = json.loads((PLACE / "package-lock.json").read_text())["packages"]
    assert [name for name, found in packages.items() if "resolved" in found] == []
    assert [name for name, found in packages.items() if name and "integrity" not in found] == []


def test_the_tools_run_with_the_node_of_the_lock(node: Node, tmp_path: Path) -> None:
    versions = json.loads((PLACE / "package.json").read_text())["devDependencies"]
    assert node.run("tsc", "--version", cwd=tmp_path).strip() == f"Version {versions['typescript']}"
    script = tmp_path / "version.mjs"
    script.write_text("console.log(process.execPath)")
    assert Path(node.run(script, cwd=tmp_path).strip()) == node.program.resolve()
