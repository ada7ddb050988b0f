"""`crm contracts generate | check | release`: writes the documents of the events and checks that events stay compatible."""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from . import asyncapi
from .catalogue import all_events, event_for
from .compatibility import breaks
from .envelope import Envelope, EnvelopeError
from .events_page import events_page
from .samples import sample
from .schemas import bundle, event_schema

ROOT: Final = Path(__file__).resolve().parents[4]
"""The root of the checkout, whose files these commands use."""
_RELEASED: Final = Path("shared/contracts/schemas/released")
_VERSION: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+", re.ASCII)


def generate(root: Path = ROOT, into: Path | None = None) -> list[Path]:
    """Write `docs/events.md` and the hash of the AsyncAPI document; returns the paths.

    With `into` it also writes the files of a release to that folder: `asyncapi.json` and one JSON Schema per event.
    """
    texts = _documents(root)
    if into is not None:
        texts[into / "asyncapi.json"] = _asyncapi()
        texts |= {into / "schemas" / f"{event.type}.json": _pretty(event_schema(event)) for event in all_events()}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(texts)


def check(root: Path = ROOT) -> list[str]:
    """Return a line for each problem: a breaking change since a release, a sample of a release that present consumers cannot
    read, or a generated document that is out of date."""
    found = []
    for folder in releases(root):
        released = json.loads((folder / "schemas.json").read_text(encoding="utf-8"))
        found += [f"breaks {folder.name}: {broken}" for broken in breaks(released, bundle())]
        found += [f"sample of {folder.name}: {problem}" for problem in replay(folder / "samples")]
    for path, text in _documents(root).items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            found.append(f"{path.relative_to(root)} is out of date; run ./crm contracts generate")
    return found


def release(version: str, root: Path = ROOT) -> Path:
    """Store the present schemas and a sample of each event as a baseline for later changes; returns the folder.

    Raises ValueError if the version is not of the form x.y.z, is not greater than the last one, or breaks an earlier one.
    """
    if not _VERSION.fullmatch(version):
        raise ValueError("a version has the form x.y.z")
    earlier = releases(root)
    if earlier and _order(version) <= _order(earlier[-1].name):
        raise ValueError(f"{version} does not come after {earlier[-1].name}")
    folder = root / _RELEASED / version
    broken = [problem for problem in check(root) if not problem.endswith("generate")]
    if broken:
        raise ValueError("; ".join(broken))
    (folder / "samples").mkdir(parents=True)
    (folder / "schemas.json").write_text(_pretty(bundle()), encoding="utf-8")
    for event in all_events():
        (folder / "samples" / f"{event.type}.json").write_text(_pretty(sample(event)), encoding="utf-8")
    generate(root)
    return folder


def releases(root: Path = ROOT) -> list[Path]:
    """Return the folders of all released versions, oldest first."""
    folder = root / _RELEASED
    found = [path for path in folder.iterdir() if _VERSION.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: _order(path.name))


def replay(samples: Path) -> Iterator[str]:
    """Yield a line for each sample of a folder that present consumers cannot read, with the reason."""
    for path in sorted(samples.glob("*.json")):
        try:
            envelope = Envelope.from_json(path.read_bytes())
            event = event_for(envelope.type)
            if event is None:
                yield f"{path.stem}: there is no such event any more"
                continue
            event.consume(envelope.data)
        except EnvelopeError as error:
            yield f"{path.stem}: {error}"
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            yield f"{path.stem}: {'.'.join(map(str, first['loc']))}: {first['msg']}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="crm contracts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    generating = commands.add_parser("generate", help="write docs/events.md and docs/asyncapi.json.sha256")
    generating.add_argument(
        "--into", type=Path, help="also write asyncapi.json and schemas/, one JSON Schema per event, into this folder"
    )
    commands.add_parser(
        "check",
        help="compare the contracts with every release, validate its samples, and check the generated documents",
    )
    commands.add_parser("release", help="store the current schemas and samples as a release").add_argument("version")
    arguments = parser.parse_args(argv)
    if not (ROOT / "shared/contracts/pyproject.toml").is_file():
        _say("these commands work on a checkout, and crm_contracts is installed without one")
        return 2
    if arguments.command == "generate":
        _say(f"{len(generate(into=arguments.into))} files written")
        return 0
    if arguments.command == "release":
        try:
            _say(f"released into {release(arguments.version).relative_to(ROOT)}")
        except ValueError as error:
            _say(str(error))
            return 1
        return 0
    found = check()
    for problem in found:
        _say(problem)
    if not found:
        _say(f"{len(all_events())} events, compatible with {len(releases())} releases")
    return 1 if found else 0


def _documents(root: Path) -> dict[Path, str]:
    digest = hashlib.sha256(_asyncapi().encode()).hexdigest()
    return {
        root / "docs" / "events.md": events_page(),
        # The document has thirty thousand lines, so only its hash is committed. It shows that the document changed.
        root / "docs" / "asyncapi.json.sha256": f"{digest}  asyncapi.json\n",
    }


def _asyncapi() -> str:
    return _pretty(asyncapi.document())


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _pretty(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
