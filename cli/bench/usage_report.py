"""What `fakturo bench usage` found: the figures as a document with stable keys, and as a page for people.

Place     usage.py -> [this] -> terminal, or JSON.
Keys      `events_per_second`, `read_decode_events_per_second`, `faust_events_per_second`, `cpu_us_per_event`,
          `latency_p99_ms`, `bytes_per_event`, `peak_rss_mb` are a contract (others may read them); so are their units.
Workers   the speed is that of as many workers as were fastest, `workers_at_work`; what an event costs, memory and
          latency are of one.
"""

import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fakturo.cli.bench.machine import machine
from fakturo.cli.bench.usage_workers import Measured
from fakturo.cli.output import console, table_of


class Stored(NamedTuple):
    """What the same number of events cost with so many stored before."""

    stored: int
    measured: Measured


@dataclass(slots=True, kw_only=True)
class Report:
    """The figures of one run."""

    command: str
    events: int
    broker: str
    event_bytes: float = 0.0
    read: dict[str, float] = field(default_factory=dict)
    main: Measured = field(default_factory=lambda: Measured(workers=1))
    stock: dict[str, dict[str, float]] = field(default_factory=dict)
    bytes_stored: float = 0.0
    rollups: int = 0
    latency: dict[str, Any] = field(default_factory=dict)
    poison_percent: int = 0
    poisoned: Measured | None = None
    by_workers: list[Measured] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the figures with the machine and the versions."""
        best = max((self.main, *self.by_workers), key=lambda measured: measured.rate)
        speed, read_speed = best.rate, _rate(self.read)
        event, take = _rate(self.stock["event"]), _rate(self.stock["take"])
        return {
            "command": self.command,
            "events": self.events,
            "broker": self.broker,
            "event_bytes": round(self.event_bytes),
            "events_per_second": round(speed),
            "workers_at_work": best.workers,
            "read_decode_events_per_second": round(read_speed),
            "faust_events_per_second": round(event),
            "faust_take_events_per_second": round(take),
            "share_of_read_decode": round(speed / read_speed, 3),
            "times_stock_faust": round(speed / event, 1),
            "times_stock_faust_take": round(speed / take, 1),
            "cpu_us_per_event": self.main.by_part()
            | {"read_decode": _cpu_us(self.read), "faust": _cpu_us(self.stock["event"])},
            "database_backends": self.main.wait_shares(),
            "bytes_per_event": round(self.bytes_stored / self.events),
            "rollups_per_event": round(self.rollups / self.events, 3),
            "peak_rss_mb": self.main.peak_rss_mb,
            "rss_mb": self.main.rss_mb,
            **self.latency,
            **self._variations(),
            "machine": machine(),
        }

    def _variations(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.by_workers:
            found["workers"] = [{"workers": one.workers, **_row(one)} for one in self.by_workers]
        if self.poisoned is not None:
            share = round(self.poisoned.rate / self.main.rate, 3)
            found["poison"] = {"percent": self.poison_percent, "share_of_clean": share, **_row(self.poisoned)}
        if self.stored:
            found["stored"] = [{"stored": one.stored, **_row(one.measured)} for one in self.stored]
            first, last = (_cost(one.measured) for one in (self.stored[0], self.stored[-1]))
            found["stored_cost_ratio"] = round(last / first, 3)
        return found


def _row(one: Measured) -> dict[str, Any]:
    return {
        "events_per_second": round(one.rate),
        "cpu_us_per_event": {name: one.us(cpu) for name, cpu in one.cpu.items()},
        "database_backends": one.wait_shares(),
        "peak_rss_mb": one.peak_rss_mb,
    }


def _cost(one: Measured) -> float:
    """Return the CPU of worker and database an event: what an event costs, whatever else the machine does."""
    return one.us(one.cpu["agent"] + one.cpu.get("database", 0.0))


def _rate(figures: dict[str, float]) -> float:
    return figures["events"] / figures["seconds"]


def _cpu_us(figures: dict[str, float]) -> float:
    return round(figures["cpu_seconds"] / figures["events"] * 1e6, 1)


def print_report(result: dict[str, Any]) -> None:
    """Print the document for people."""
    console.print(f"[bold]{result['command']}[/bold] ({result['broker']}, {result['event_bytes']} bytes an event)")
    for label, key in (
        ("the usage path, exactly once", "events_per_second"),
        ("only read and decode", "read_decode_events_per_second"),
        ("stock Faust, an event at a time", "faust_events_per_second"),
        ("stock Faust, take(1000)", "faust_take_events_per_second"),
    ):
        console.print(f"{label:<34}{result[key]:>12,} events/s", highlight=False)
    shares = f"{result['share_of_read_decode']:.1%} of reading alone; {result['times_stock_faust']} times stock Faust, "
    shares += f"{result['times_stock_faust_take']} times take(1000); {result['bytes_per_event']} bytes and "
    shares += f"{result['rollups_per_event']} totals an event; peak {result['peak_rss_mb']} MB."
    latency = f"From publication to statement at {result['latency_events_per_second']:,} events/s of "
    latency += f"{result['latency_accounts']:,} accounts: p50 {result['latency_p50_ms']} ms, p99 "
    latency += f"{result['latency_p99_ms']} ms; {result['statements_per_second']:,} statements/s."
    workers = f"That is the speed of {result['workers_at_work']} worker(s); what follows is of one."
    costs = f"CPU µs an event: {_listed(result['cpu_us_per_event'])}."
    for line in (shares, workers, latency, costs, f"Database backends: {_listed(result['database_backends'])}."):
        console.print(line, highlight=False, soft_wrap=True)
    _print_variations(result)
    console.print(json.dumps(result["machine"]), highlight=False, soft_wrap=True)


def _print_variations(result: dict[str, Any]) -> None:
    for title, first, rows in (
        ("Workers", "workers", result.get("workers", [])),
        ("Poison", "percent", [result["poison"]] if "poison" in result else []),
        ("Stored before", "stored", result.get("stored", [])),
    ):
        if rows:
            table = [
                {
                    first: f"{row[first]:,}",
                    "events/s": f"{row['events_per_second']:,}",
                    "CPU µs an event": _listed(row["cpu_us_per_event"]),
                    "database backends": ", ".join(
                        f"{name} {share}" for name, share in row["database_backends"].items()
                    ),
                    "peak MB": str(row["peak_rss_mb"]),
                }
                for row in rows
            ]
            console.print(table_of(title, tuple(table[0]), table))


def _listed(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {figure}" for name, figure in figures.items())
