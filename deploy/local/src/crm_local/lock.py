"""`crm lock`: resolve the dependencies again and write requirements.lock."""

import shutil
import subprocess
import sys
from pathlib import Path

from crm_local.state import CHECKOUT


def run(upgrade: bool) -> int:
    """Write requirements.lock from the workspace's pyprojects; newer versions of everything with `upgrade`.

    Versions come from uv.lock if it exists (it is not in the repository); otherwise they are the newest that fit.
    """
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bootstrap" / "bin" / "uv")
    resolve = [uv, "lock", "--quiet", *(["--upgrade"] if upgrade else [])]
    # No index address: each machine chooses its index, and hashes ensure the same packages.
    export = [uv, "export", "--quiet", "--frozen", "--no-header", "--no-annotate", "--no-emit-index-url"]
    target = ["--format", "requirements.txt", "--output-file", "requirements.lock"]
    for argv in (resolve, [*export, *target]):
        if subprocess.run(argv, cwd=CHECKOUT, check=False).returncode:
            return 1
    return 0
