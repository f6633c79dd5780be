"""Strikes the parts of a rig and brings each back after a while; restarts who ended unasked, and says so.

Place     schedule.py -> [this] -> signals to child processes of rig.py, each by its own id.
Overlap   a strike waits only for its own target: while one comes back, others are struck.
"""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from tests.storm.rig import STOP_SECONDS, Rig
from tests.storm.schedule import BROKER, DATABASE, Kind, Strike

TEND_SECONDS = 0.5
RESTART_SECONDS = 1.0
OUTAGE_SECONDS = 6.0


class Breaker:
    """Carries out strikes on `rig` and prints a line for each; `sent` counts `unit`, what came in so far."""

    def __init__(self, rig: Rig, unit: str = "flights sent") -> None:
        self.rig = rig
        self.unit = unit
        self.sent = 0
        self.struck: Counter[tuple[str, Kind]] = Counter()
        self.unasked: list[str] = []
        self.overdue: list[str] = []
        self._began = time.monotonic()
        self._locks = {name: asyncio.Lock() for name in (*rig.commands, BROKER, DATABASE)}
        self._away_since: dict[str, float] = {}
        self._recovering: set[asyncio.Task[None]] = set()
        self._tending: asyncio.Task[None] | None = None

    def say(self, text: str) -> None:
        """Print a line with the seconds since the beginning."""
        print(f"{time.monotonic() - self._began:7.1f} s  {text}", flush=True)

    def count_sent(self, number: int) -> None:
        """Note that `number` flights were published so far."""
        self.sent = number

    def start(self) -> None:
        """Begin to watch over the workers."""
        self._tending = asyncio.create_task(self._tend())

    async def strike(self, strike: Strike) -> None:
        """Strike now; the target's recovery goes on in the background."""
        await self._world()
        lock = self._locks[strike.target]
        await lock.acquire()
        try:
            what = await self._hit(strike)
        except BaseException:
            lock.release()
            raise
        self.struck[strike.target, strike.kind] += 1
        self._away_since[strike.target] = time.monotonic()
        back = f"{what}, back after {strike.down_seconds:.1f} s"
        self.say(f"{strike.number:3}  {strike.target:<12} {back:<34} {self.sent:>7,} {self.unit}")
        task = asyncio.create_task(self._recover(strike))
        self._recovering.add(task)
        task.add_done_callback(lambda done: (self._recovering.discard(done), lock.release()))

    async def recovered(self) -> None:
        """Wait until every target is back. Raises what kept one from it."""
        while self._recovering:
            await asyncio.gather(*self._recovering)

    async def stop(self) -> None:
        """Stop watching; frozen processes are let go on."""
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending
        for task in list(self._recovering):
            task.cancel()
        await asyncio.gather(*self._recovering, return_exceptions=True)

    async def _world(self) -> None:
        """Let workers be struck for the first seconds of an outage of broker or database, then wait for its end."""
        for name in (BROKER, DATABASE):
            since = time.monotonic() - self._away_since.get(name, 0)
            if self._locks[name].locked() and since > OUTAGE_SECONDS:
                async with self._locks[name]:
                    pass

    async def _hit(self, strike: Strike) -> str:
        if strike.target == BROKER:
            await asyncio.to_thread(self.rig.kafka.kill)
            return "kill -9"
        if strike.target == DATABASE:
            return await self._hit_database(strike.kind)
        await self.rig.start(strike.target)  # it may just have ended by itself
        process = self.rig.worker(strike.target)
        if process is None:
            return "was not running"
        if strike.kind is Kind.KILL:
            await asyncio.to_thread(process.stop, seconds=10, number=signal.SIGKILL)
        elif strike.kind is Kind.FREEZE:
            process.send(signal.SIGSTOP)
        elif not await asyncio.to_thread(process.stop, seconds=STOP_SECONDS):
            self.overdue.append(strike.target)
            return f"stop (killed after {STOP_SECONDS:.0f} s)"
        return strike.kind.value

    async def _hit_database(self, kind: Kind) -> str:
        process = self.rig.database.process
        if process is None:
            return "was not running"
        number = signal.SIGKILL if kind is Kind.KILL else signal.SIGQUIT
        await asyncio.to_thread(process.stop, seconds=10, number=number)
        return "kill -9" if kind is Kind.KILL else "immediate stop"

    async def _recover(self, strike: Strike) -> None:
        process = None if strike.target in (BROKER, DATABASE) else self.rig.worker(strike.target)
        try:
            await asyncio.sleep(strike.down_seconds)
        finally:
            if strike.kind is Kind.FREEZE and process is not None:
                process.send(signal.SIGCONT)
        if strike.target == BROKER:
            await asyncio.to_thread(self.rig.kafka.restart)
            self.say(f"     {strike.target:<12} answers again")
        elif strike.target == DATABASE:
            await asyncio.to_thread(self.rig.database.start)
            self.say(f"     {strike.target:<12} answers again")
        elif strike.kind is Kind.FREEZE:
            self.say(f"     {strike.target:<12} goes on, a zombie")
        else:
            await self.rig.start(strike.target)

    async def _tend(self) -> None:
        """Do what a supervisor does: start again who ended without having been struck."""
        while True:
            await asyncio.sleep(TEND_SECONDS)
            for name in self.rig.commands:
                if self._locks[name].locked() or self.rig.worker(name) is not None:
                    continue
                async with self._locks[name]:
                    self.unasked.append(name)
                    self.say(f"     {name:<12} ended unasked; started again")
                    await asyncio.sleep(RESTART_SECONDS)
                    await self.rig.start(name)


def tally(strikes: Sequence[Strike]) -> str:
    """Return how often each kind of target is struck, as a sentence."""
    kinds = Counter(strike.kind for strike in strikes)
    targets = Counter(strike.target.partition("/")[0] for strike in strikes)
    how = ", ".join(f"{number} {kind.value}" for kind, number in sorted(kinds.items()))
    whom = ", ".join(f"{name} {number}" for name, number in sorted(targets.items()))
    return f"{len(strikes)} strikes ({how}) on {whom}"
