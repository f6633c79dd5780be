"""`python -m fakturo.schemas.generate [--check | --release VERSION]`: writes what is made from the code.

Place     registry, json_schemas, async_api -> [this] -> schemas/jsonschema/*.json and schemas/asyncapi.yaml, committed,
          so that a change of a contract shows in a diff. `--check` writes nothing and fails where they are out of date.
Release   keeps a copy of each schema that has changed since the last release in schemas/released/, as
          `<shape>@<version>.json`: later schemas must be compatible with every copy (tests/schemas).
"""

import argparse
import json
import sys
from pathlib import Path

import msgspec

from fakturo.schemas.async_api import async_api
from fakturo.schemas.json_schemas import json_schema
from fakturo.schemas.registry import SHAPES

FOLDER = Path(__file__).resolve().parent
SCHEMAS = FOLDER / "jsonschema"
RELEASED = FOLDER / "released"
EXAMPLES = FOLDER / "examples"
ASYNC_API = FOLDER / "asyncapi.yaml"


def generated() -> dict[Path, str]:
    """Return the text of every generated file by its path."""
    files = {SCHEMAS / f"{shape.name}.json": _json(json_schema(shape)) for shape in SHAPES}
    head = "# Made by `python -m fakturo.schemas.generate`; don't edit.\n"
    return files | {ASYNC_API: head + msgspec.yaml.encode(async_api()).decode()}


def outdated() -> list[Path]:
    """Return the generated files that are missing, differ, or belong to no shape any more."""
    files = generated()
    stale = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    return sorted([*stale, *(path for path in SCHEMAS.glob("*.json") if path not in files)])


def write() -> list[Path]:
    """Bring the generated files up to date; return those that changed."""
    files = generated()
    changed = outdated()
    for path in changed:
        if path in files:
            path.parent.mkdir(exist_ok=True)
            path.write_text(files[path])
        else:
            path.unlink()
    return changed


def release(version: str) -> list[Path]:
    """Keep a copy of each schema that differs from its newest released one; return the copies."""
    RELEASED.mkdir(exist_ok=True)
    written = []
    for shape in SHAPES:
        text = _json(json_schema(shape))
        if all(copy.read_text() != text for copy in RELEASED.glob(f"{shape.name}@*.json")):
            copy = RELEASED / f"{shape.name}@{version}.json"
            copy.write_text(text)
            written.append(copy)
    return written


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit status: 1 where `--check` finds something out of date."""
    parser = argparse.ArgumentParser(prog="python -m fakturo.schemas.generate", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    parser.add_argument("--release", metavar="VERSION", help="also keep copies for the compatibility gate")
    options = parser.parse_args(arguments)
    if options.check:
        paths, said = outdated(), "out of date"
    else:
        paths, said = write(), "written"
        paths += release(options.release) if options.release else []
    for path in paths:
        sys.stdout.write(f"{said}: {path.relative_to(FOLDER.parent)}\n")
    return 1 if options.check and paths else 0


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
