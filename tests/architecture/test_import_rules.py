"""Each rule is broken on purpose in a copy of the source tree, and the linter has to detect it."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SOURCES = sorted(path.relative_to(CHECKOUT) for path in CHECKOUT.glob("*/*/src"))
CONFIG: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]

IMPORTS = {
    "a service imports another": (
        "services/sales/src/crm_sales/planted_service.py",
        "import crm_identity.app",
        "crm_sales.planted_service -> crm_identity.app",
    ),
    "the kit imports a service": (
        "shared/kit/src/crm_kit/planted_upwards.py",
        "import crm_sales.app",
        "crm_kit.planted_upwards -> crm_sales.app",
    ),
    "a room of the kit imports one above it": (
        "shared/kit/src/crm_kit/store/planted_room.py",
        "import crm_kit.http.web",
        "crm_kit.store.planted_room -> crm_kit.http.web",
    ),
    "contracts import the kit": (
        "shared/contracts/src/crm_contracts/planted_kit.py",
        "import crm_kit.clock",
        "crm_contracts.planted_kit -> crm_kit.clock",
    ),
    "contracts import more than pydantic": (
        "shared/contracts/src/crm_contracts/planted_external.py",
        "import orjson",
        "crm_contracts.planted_external -> orjson",
    ),
    "catalogues import more than Babel": (
        "shared/language/src/crm_language/planted_external.py",
        "import orjson",
        "crm_language.planted_external -> orjson",
    ),
    "a domain imports sqlalchemy": (
        "services/sales/src/crm_sales/planted_slice/domain.py",
        "import sqlalchemy",
        "crm_sales.planted_slice.domain -> sqlalchemy",
    ),
    "a domain imports its model": (
        "services/sales/src/crm_sales/planted_slice/inner/domain.py",
        "import crm_sales.lead.model",
        "crm_sales.planted_slice.inner.domain -> crm_sales.lead.model",
    ),
    "a domain reaches the clock through what it may import": (
        "services/sales/src/crm_sales/planted_slice/deep/domain.py",
        "import crm_contracts.planted_kit",
        "crm_sales.planted_slice.deep.domain -> … -> crm_kit.clock",
    ),
    "a model imports its commands": (
        "services/sales/src/crm_sales/planted_slice/model.py",
        "import crm_sales.planted_slice.commands",
        "crm_sales.planted_slice.model -> crm_sales.planted_slice.commands",
    ),
    "commands import their routes": (
        "services/sales/src/crm_sales/planted_slice/commands.py",
        "import crm_sales.planted_slice.routes",
        "crm_sales.planted_slice.commands -> crm_sales.planted_slice.routes",
    ),
    "a slice imports another slice's routes": (
        "services/sales/src/crm_sales/planted_slice/routes.py",
        "import crm_sales.lead.routes",
        "crm_sales.planted_slice.routes -> crm_sales.lead.routes",
    ),
    "modules import each other in a circle": (
        "services/identity/src/crm_identity/planted_circle/one.py",
        "import crm_identity.planted_circle.two",
        "crm_identity.planted_circle.one",
    ),
    "a service speaks AMQP": (
        "services/sales/src/crm_sales/planted_broker.py",
        "import aio_pika",
        "crm_sales.planted_broker -> aio_pika",
    ),
    "a module of the kit speaks AMQP": (
        "shared/kit/src/crm_kit/planted_broker.py",
        "from aiormq import connect",
        "crm_kit.planted_broker -> aiormq",
    ),
}
OTHERS = {
    "services/sales/src/crm_sales/planted_slice/__init__.py": "",
    "services/sales/src/crm_sales/planted_slice/inner/__init__.py": "",
    "services/sales/src/crm_sales/planted_slice/deep/__init__.py": "",
    "services/identity/src/crm_identity/planted_circle/__init__.py": "",
    "services/identity/src/crm_identity/planted_circle/two.py": "import crm_identity.planted_circle.one\n",
}

BANNED = {
    "datetime.now": "from datetime import UTC, datetime\n\nWHEN = datetime.now(UTC)\n",
    "datetime.utcnow": "import datetime\n\nWHEN = datetime.datetime.utcnow()\n",
    "date.today": "from datetime import date\n\nWHEN = date.today()\n",
    "time.time": "import time\n\nWHEN = time.time()\n",
    "time.monotonic": "from time import monotonic\n\nWHEN = monotonic()\n",
    "func.now": "from sqlalchemy import func\n\nWHEN = func.now()\n",
    "create_async_engine": "from sqlalchemy.ext.asyncio import create_async_engine\n\nENGINE = create_async_engine('x')\n",
    "create_engine": "import sqlalchemy\n\nENGINE = sqlalchemy.create_engine('x')\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with all violations, each in a separate file."""
    root = tmp_path_factory.mktemp("tree")
    shutil.copy(CHECKOUT / "pyproject.toml", root)
    shutil.copytree(CHECKOUT / "tests/architecture", root / "tests/architecture")
    for source in SOURCES:
        shutil.copytree(CHECKOUT / source, root / source, ignore=shutil.ignore_patterns("__pycache__"))
    planted = {path: f"{text}\n" for path, text, _ in IMPORTS.values()} | OTHERS
    for path, text in planted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for position, text in enumerate(BANNED.values()):
        (root / f"services/sales/src/crm_sales/planted_banned_{position}.py").write_text(text)
    return root


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(root / source) for source in SOURCES)
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    command = [sys.executable, "-c", program, "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "500"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def verdict(tree: Path) -> str:
    checked = lint_imports(tree)
    assert checked.returncode == 1, checked.stderr
    return " ".join(checked.stdout.split())


def test_the_tree_keeps_every_import_rule() -> None:
    checked = lint_imports(CHECKOUT)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("violation", IMPORTS)
def test_a_planted_import_is_rejected(verdict: str, violation: str) -> None:
    assert IMPORTS[violation][2] in verdict


@pytest.mark.parametrize("contract", CONFIG["contracts"], ids=lambda contract: contract["id"])
def test_every_contract_is_broken_by_something_planted(verdict: str, contract: dict[str, Any]) -> None:
    assert f"{contract['name']} BROKEN" in verdict


def test_banned_calls_are_rejected_by_ruff(tree: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--no-cache",
        "--select",
        "TID251",
        "--output-format",
        "json",
        ".",
    ]
    checked = subprocess.run(command, cwd=tree, capture_output=True, timeout=120)
    found = {Path(finding["filename"]).name for finding in orjson.loads(checked.stdout)}
    assert found == {f"planted_banned_{position}.py" for position in range(len(BANNED))}


def test_every_service_is_under_the_rules() -> None:
    packages = {path.name for source in SOURCES for path in (CHECKOUT / source).glob("crm_*")}
    services = {path.parent.name for path in CHECKOUT.glob("services/*/src/crm_*/__init__.py")}
    contracts = {contract["id"]: contract for contract in CONFIG["contracts"]}
    assert set(CONFIG["root_packages"]) == packages
    assert set(contracts["broker"]["source_modules"]) == packages
    assert set(contracts["slices"]["services"]) == services
    assert set(contracts["domain"]["modules"]) == {f"{service}.**.domain" for service in services}
    assert {name for layer in contracts["direction"]["layers"] for name in layer.split(" | ")} == packages
    assert any(set(layer.split(" | ")) == services for layer in contracts["direction"]["layers"])
