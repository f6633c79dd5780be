"""Baseline: only read JSON Lines from a file and decode each, as the fastest decoder does it. Nothing is rated.

Place     `fakturo bench rate` starts this as a process of its own, on the same lines.
"""

import sys
from pathlib import Path

import msgspec


def decode_all(path: Path) -> int:
    """Decode every line of the file; return how many there were."""
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as source:
        return sum(1 for line in source if decode(line) is not None)


if __name__ == "__main__":
    sys.stdout.write(f"{decode_all(Path(sys.argv[1]))}\n")
