"""Logs stay within their limit while their writers keep them open."""

import subprocess
import sys
from pathlib import Path

from crm_local.rotation import bound, kept

_WITHOUT_ROOM = """
import resource, sys
from pathlib import Path
from crm_local.rotation import bound
resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
bound(Path(sys.argv[1]), 20)
"""


def test_a_log_past_its_size_is_begun_anew_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a" * 100)
        bound(log, 100)
        assert not kept(log).exists()
        writer.write(b"b")
        bound(log, 100)
        writer.write(b"c")
    assert kept(log).read_bytes() == b"a" * 100 + b"b"
    assert log.read_bytes() == b"c"


def test_a_log_that_is_not_there_is_left_alone(tmp_path: Path) -> None:
    bound(tmp_path / "one.log", 1)
    assert list(tmp_path.iterdir()) == []


def test_without_room_for_a_copy_the_older_part_is_given_up(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_bytes(b"a" * 100)
    subprocess.run([sys.executable, "-c", _WITHOUT_ROOM, str(log)], check=True)
    assert log.read_bytes() == b""
    assert not kept(log).exists()
