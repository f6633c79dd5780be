"""Where a worker's CPU goes: its Python stack, looked at after each two milliseconds of CPU time that it has used.

Place     sampled_agent -> [this], inside the worker; usage_workers asks for the counts by signal.
How       SIGPROF (setitimer, ITIMER_PROF) counts CPU time, not the clock: a worker that waits is not looked at. The
          innermost frame that belongs to a part takes the sample, so what C code costs falls to the Python that called
          it. A sample takes a few microseconds, well under a percent.
Limit     what the event loop does by itself (reading sockets, the driver's protocol in C) has no frame of Python: it is
          `loop`. Work in other threads is counted where the main thread stands.
"""

import json
import signal
from collections import Counter
from functools import lru_cache
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.002
PATH_VARIABLE = "FAKTURO_BENCH_SAMPLES"
TELL = signal.SIGUSR2
LOOP = "loop"

PARTS: tuple[tuple[str, str], ...] = (
    ("aiokafka.", "client"),
    ("fakturo.consumers.runtime.runner_bulk", "client"),
    ("fakturo.consumers.runtime.received", "client"),
    ("fakturo.consumers.runtime.fetch", "client"),
    ("asyncpg.", "driver"),
    ("sqlalchemy.", "driver"),
    ("fakturo.consumers.runtime.database", "driver"),
    ("fakturo.schemas.", "decode"),
    ("fakturo.consumers.usage.reading", "decode"),
    ("fakturo.consumers.runtime.intake", "decode"),
    ("fakturo.engine.", "engine"),
    ("fakturo.consumers.", "engine"),
)
"""Which part of the path a module belongs to, by the beginning of its name; the first that fits."""


@lru_cache(maxsize=10_000)
def part_of(module: str) -> str | None:
    """Return the part that a module belongs to; None for what is nobody's (asyncio, the standard library)."""
    return next((part for beginning, part in PARTS if module.startswith(beginning)), None)


class Sampler:
    """Counts samples by part; SIGUSR2 has the counts so far written to `path`, and begins anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to look."""
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(TELL, self._tell)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        while frame is not None:
            part = part_of(frame.f_globals.get("__name__", ""))
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
