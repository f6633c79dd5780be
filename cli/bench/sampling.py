"""Where a worker's CPU goes: its Python stack, looked at after each two milliseconds of CPU time that it has used.

Place     sampled_agent -> [this], inside the worker; usage_workers asks for the counts by signal.
How       SIGPROF (setitimer, ITIMER_PROF) counts CPU time, not the clock: a worker that waits is not looked at. The
          innermost frame that belongs to a part takes the sample, so what C code costs falls to the Python that called
          it. A sample takes a few microseconds, well under a percent.
Limit     what the event loop does by itself (reading sockets, the driver's protocol in C) has no frame of Python: it is
          `loop`. Work in other threads is counted where the main thread stands.
"""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.002
PATH_VARIABLE = "FAKTURO_BENCH_SAMPLES"
TELL = signal.SIGUSR2
LOOP = "loop"

PARTS: tuple[tuple[str, str], ...] = (
    ("/aiokafka/", "client"),
    ("/fakturo/consumers/runtime/runner_bulk", "client"),
    ("/fakturo/consumers/runtime/received", "client"),
    ("/fakturo/consumers/runtime/fetch_pacing", "client"),
    ("/asyncpg/", "driver"),
    ("/sqlalchemy/", "driver"),
    ("/fakturo/consumers/runtime/database", "driver"),
    ("/fakturo/schemas/", "decode"),
    ("/fakturo/consumers/usage/reading", "decode"),
    ("/fakturo/consumers/runtime/intake", "decode"),
    ("/fakturo/engine/", "engine"),
    ("/fakturo/consumers/", "engine"),
)
"""Which part of the path a source file belongs to, by a piece of its path; the first that fits."""


def part_of(filename: str) -> str | None:
    """Return the part that a source file belongs to; None for what is nobody's (asyncio, the standard library)."""
    name = filename.replace(os.sep, "/")
    for piece, part in PARTS:
        if piece in name:
            return part
    return None


class Sampler:
    """Counts samples by part; SIGUSR2 has the counts so far written to `path`, and begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()
        self._parts: dict[str, str | None] = {}

    def start(self) -> None:
        """Begin to look."""
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(TELL, self._tell)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            filename = frame.f_code.co_filename
            if filename not in self._parts:
                self._parts[filename] = part_of(filename)
            part = self._parts[filename]
            if part is not None:
                self.counts[part] += 1
                return
            frame = frame.f_back
        self.counts[LOOP] += 1

    def _tell(self, _number: int, _frame: FrameType | None) -> None:
        draft = self.path.with_suffix(".tmp")
        draft.write_text(json.dumps(self.counts))
        self.counts.clear()
        draft.replace(self.path)
