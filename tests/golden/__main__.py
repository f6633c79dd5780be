"""`python -m tests.golden [CASE ...]`: writes the expected files of the golden cases anew."""

import shutil
import sys
import tempfile
from pathlib import Path

from tests.golden.cases import HERE, UNTIL, run_case


def main() -> None:
    """Replay every case named, or all, and keep what comes out."""
    for case in sys.argv[1:] or UNTIL:
        with tempfile.TemporaryDirectory() as output:
            found = run_case(case, Path(output))
        folder = HERE / case / "expected"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, content in found.items():
            (folder / name).write_bytes(content)
        print(f"{case}: {len(found)} files")


if __name__ == "__main__":
    main()
