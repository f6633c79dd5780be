"""What is struck when: a pure function of the seed, so that a storm can be run again.

Place     FAKTURO_STORM_SEED -> [this] -> breaker.py. Every part is struck before any is struck more often.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

AGENTS = ("contracts", "usage", "invoicing", "ledger", "kpi", "crm_sync", "crm_feed")
INSTANCES = ("0", "1")
WORKERS = tuple(f"{agent}/{instance}" for agent in AGENTS for instance in INSTANCES)
RELAYS = tuple(f"relay/{instance}" for instance in INSTANCES)
BROKER = "broker"
DATABASE = "database"


class Kind(StrEnum):
    """SIGKILL; an orderly stop (SIGTERM; Postgres: SIGQUIT); SIGSTOP until its session is over: a zombie."""

    KILL = "kill -9"
    STOP = "stop"
    FREEZE = "freeze"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strike:
    """One strike: `pause_seconds` after the one before, and `down_seconds` until the target is started again."""

    number: int
    target: str
    kind: Kind
    pause_seconds: float
    down_seconds: float


Blow = tuple[str, Kind]


def whole_system() -> list[Blow]:
    """Return the blows of the storm, the most important first: 54 of them."""
    blows = [(BROKER, Kind.KILL)] * 3 + [(DATABASE, Kind.KILL)] * 3
    blows += [(name, kind) for kind in (Kind.KILL, Kind.STOP) for name in (*WORKERS, *RELAYS)]
    zombies = (*(f"{agent}/{INSTANCES[place % 2]}" for place, agent in enumerate(AGENTS)), RELAYS[0])
    blows += [(name, Kind.FREEZE) for name in zombies]
    blows += [
        (name, Kind.KILL) for name in ("invoicing/0", "ledger/1", "kpi/0", "crm_sync/0", "crm_sync/1", "crm_feed/0")
    ]
    return [*blows, (DATABASE, Kind.STOP), (RELAYS[1], Kind.KILL)]


def plan(seed: int, blows: Sequence[Blow], count: int, *, pace_seconds: float, freeze_seconds: float) -> list[Strike]:
    """Return `count` strikes (the first of `blows`, over again if more are asked for) in an order made of `seed`."""
    dice = random.Random(seed)
    chosen = [blows[number % len(blows)] for number in range(count)]
    dice.shuffle(chosen)
    return [
        Strike(
            number=number,
            target=target,
            kind=kind,
            pause_seconds=pace_seconds * dice.uniform(0.4, 1.6),
            down_seconds=freeze_seconds if kind is Kind.FREEZE else dice.uniform(0.1, 1.5),
        )
        for number, (target, kind) in enumerate(chosen, start=1)
    ]
