"""The supervisor with real programs. It runs in a separate process, because it forks and handles signals."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_local.processes import ProcessRef, followers, stop, wait_until

# A supervisor that records its actions like `up`, for one program of the test.
_DRIVER = """
import json, sys
from pathlib import Path
from crm_local.processes import Command
from crm_local.supervisor import Fork, Stopped, Supervisor

here, argv = Path(sys.argv[1]), sys.argv[2:]

def record():
    child = supervisor.children.get("program")
    seen = {"pid": child.process.pid, "restarts": child.restarts, "down": child.due_at is not None} if child else {}
    (here / "new").write_text(json.dumps(seen))
    (here / "new").rename(here / "record")

supervisor = Supervisor(record, lambda line: print(line, flush=True))
with supervisor.watching():
    try:
        supervisor.add(Fork.of(Command("program", tuple(argv), here / "program.log", here)))
        supervisor.run()
    except Stopped as stopped:
        print(f"stopped by {stopped}", flush=True)
    supervisor.stop(["program"], grace=2)
"""


class Driven:
    """A supervisor in a separate process."""

    def __init__(self, here: Path, *argv: str) -> None:
        self.here = here
        self.output = here / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _DRIVER, str(here), *argv], stdout=output, stderr=subprocess.STDOUT
            )
        assert wait_until(lambda: self.record() != {}, 120), self.output.read_text()

    def record(self) -> dict[str, int]:
        path = self.here / "record"
        return json.loads(path.read_text()) if path.exists() else {}

    def end(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return self.output.read_text()


@pytest.fixture
def driven(tmp_path: Path) -> Iterator[list[Driven]]:
    """Supervisors of this test. They are stopped at its end."""
    running: list[Driven] = []
    yield running
    for one in running:
        if one.process.poll() is None:
            one.end()


def test_a_killed_program_is_started_again(tmp_path: Path, driven: list[Driven]) -> None:
    one = Driven(tmp_path, "/bin/sleep", "600")
    driven.append(one)
    first = one.record()["pid"]
    os.kill(first, signal.SIGKILL)
    assert wait_until(lambda: one.record()["restarts"] == 1, 120)
    assert one.record()["pid"] != first
    assert "program was killed by SIGKILL" in one.end()


def test_a_program_that_keeps_dying_is_started_ever_more_slowly_but_within_bounds(
    tmp_path: Path, driven: list[Driven]
) -> None:
    one = Driven(tmp_path, "/bin/sh", "-c", "exit 3")
    driven.append(one)
    assert wait_until(lambda: one.record()["restarts"] >= 5, 120)
    said = one.end()
    pauses = [float(line.rpartition(" in ")[2].split()[0]) for line in said.splitlines() if "exit code 3" in line]
    assert pauses[:5] == [0.25, 0.5, 1.0, 2.0, 3.0]
    # Twenty deaths in a row with the longest pauses take far less than the two minutes that a poison message may cost.
    assert max(pauses) * 20 <= 60


def test_stopping_ends_the_program_and_what_it_started(tmp_path: Path, driven: list[Driven]) -> None:
    one = Driven(tmp_path, "/bin/sh", "-c", "sleep 600 & sleep 601 & wait")
    driven.append(one)
    leader = ProcessRef.of(one.record()["pid"])
    assert wait_until(lambda: len(followers(leader)) == 2, 120)
    children = followers(leader)
    assert "stopped by SIGTERM" in one.end()
    assert wait_until(lambda: not any(process.alive() for process in [leader, *children]), 120)


def test_a_program_deaf_to_its_signal_is_killed(tmp_path: Path, driven: list[Driven]) -> None:
    one = Driven(tmp_path, "/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    driven.append(one)
    leader = ProcessRef.of(one.record()["pid"])
    one.end()
    assert not leader.alive()


def test_a_reference_does_not_hit_another_process_with_the_same_pid() -> None:
    stranger = subprocess.Popen(["/bin/sleep", "600"])
    try:
        impostor = ProcessRef(stranger.pid, "some other start")
        assert not impostor.alive()
        stop([impostor], signal.SIGKILL, grace=0.5)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_dead_child_that_nobody_reaped_counts_as_dead() -> None:
    child = subprocess.Popen(["/bin/true"])
    try:
        assert wait_until(lambda: not Path(f"/proc/{child.pid}").exists() or _is_zombie(child.pid), 120)
        with pytest.raises(ProcessLookupError):
            ProcessRef.of(child.pid)
    finally:
        child.wait()


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
