"""The nursery in a separate process: it forks, and its parent adopts orphans for life."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# A supervisor's part for one service of the test; `during` runs between two forks.
_DRIVER = """
import json, os, signal, sys, time
from pathlib import Path
from crm_local import nursery as module
from crm_local.nursery import Born, Nursery
from crm_local.processes import ProcessRef, wait_until
from crm_local.suite import Service
from crm_local.supervisor import Fork

here, during = Path(sys.argv[1]), sys.argv[2]
toy = Service("toy", "crm_toy")
told = {"CRM_LISTEN_FD": "-1"}
nursery = Nursery([toy], [], here / "nursery.log")
born = []

def start(name):
    born.append(Born(nursery, name, toy, "api", here / f"{name}.log", {**told, "TOY": str(here / name)}).start())
    return True

def tried():
    try:
        return start("after")
    except OSError as error:
        refused.append(str(error))
        return False

def ended(process):
    try:
        os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        pass
    return not process.alive()

refused = []
assert wait_until(nursery.is_ready, 120)
start("before")
first = nursery.process
if during == "killed":
    first.signal(signal.SIGKILL)
elif during == "late":
    nursery._ours.settimeout(0.1)
    first.signal(signal.SIGSTOP)
    try:
        start("lost")
    except OSError as error:
        refused.append(str(error))
    os.kill(first.pid, signal.SIGCONT)
elif during == "let go":
    other = Fork("other", lambda: time.sleep(60), here / "other.log").start()
    born.append(other)
    nursery._ours.close()
if during != "let go":
    assert wait_until(tried, 120), refused
    assert wait_until((here / "after").exists, 120)
    assert (here / "after").read_text() == str(born[-1].pid)
assert wait_until(lambda: ended(first), 120)
lost = here / "lost"
left = lost.exists() and Path(f"/proc/{lost.read_text()}").exists() and not ended(ProcessRef.of_child(int(lost.read_text())))
print(json.dumps({"refused": refused, "alive": [one.alive() for one in born], "lost": bool(left)}))
for one in born:
    one.signal(signal.SIGKILL)
"""
_MAIN = """
import os, time
from pathlib import Path

def run():
    made = Path(os.environ["TOY"])
    made.with_suffix(".new").write_text(str(os.getpid()))
    made.with_suffix(".new").rename(made)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("during", "refusal"), [("killed", "another one begins"), ("late", "timed out"), ("let go", None)]
)
def test_a_nursery_that_fails_is_followed_by_another(tmp_path: Path, during: str, refusal: str | None) -> None:
    package = tmp_path / "crm_toy"
    package.mkdir()
    for module, text in {"__init__": "", "main": _MAIN, "worker": "", "consumers": ""}.items():
        (package / f"{module}.py").write_text(text)
    told = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}
    program = [sys.executable, "-c", _DRIVER, str(tmp_path), during]
    ran = subprocess.run(program, env=told, capture_output=True, text=True, timeout=200, check=False)
    log = (tmp_path / "nursery.log").read_text()
    assert ran.returncode == 0, ran.stderr + log
    seen = json.loads(ran.stdout.splitlines()[-1])
    assert seen["alive"] == [True, True], "those that it forked go on"
    assert not seen["lost"], "nobody runs of whom the supervisor does not know"
    if refusal is not None:
        assert refusal in seen["refused"][0]
