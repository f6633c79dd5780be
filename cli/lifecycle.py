"""`fakturo up`, `down`, `status`, `migrate`: the stack of one machine, with its books.

Place     command line -> `cli/stack` -> processes. What the agents were started with is kept in `<home>/agents.json`,
          so that `up` brings back a demo with the demo's price list.
"""

import asyncio
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.agents import AGENTS, CRM_FEED
from fakturo.cli.connect import environment_of, read_books, settings_of
from fakturo.cli.output import console, print_json, table_of
from fakturo.cli.stack import Stack, StackFault
from fakturo.consumers.contracts.offers import load_offers
from fakturo.consumers.contracts.profile_files import load_profile
from fakturo.consumers.runtime.database import migrate as migrate_database
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.settings import Settings, load_settings
from fakturo.consumers.runtime.topic_admin import apply_topics

LIVE = (*AGENTS, "relay", "clock")
"""What `up` runs: the demo's clock is its history, that of `up` the system's."""

_PROGRESS = """
SELECT w.agent, w.at AS time_reached,
       (SELECT count(*) FROM runtime.outbox o WHERE o.agent = w.agent) AS to_publish,
       (SELECT count(*) FROM runtime.parked p WHERE p.agent = w.agent) AS parked,
       (SELECT count(*) FROM runtime.dead_letter d WHERE d.agent = w.agent AND d.status = 'open') AS dead_letters
  FROM runtime.watermark w ORDER BY w.agent
"""
_WAITING = """
SELECT (SELECT coalesce(sum(late_count), 0)::bigint FROM usage.segment) AS late_events,
       (SELECT coalesce(sum(event_count), 0)::bigint FROM usage.late_rollup WHERE event_count > 0) AS late_waiting,
       (SELECT count(*) FROM usage.correction) AS corrections,
       (SELECT count(*) FROM invoicing.invoice) AS invoices,
       (SELECT count(*) FROM ledger.journal) AS journals
"""


def up(home: Path) -> None:
    """Start what does not run, with the books and the agents' settings as they were."""
    stack = Stack(home)
    kept, agents = _kept(home)
    agents = _with_crm_feed(agents, {**os.environ, **kept})
    try:
        with console.status("starting broker, database and agents"):
            environment = stack.up(agents=agents, settings=kept, prepare=lambda env: prepare(env, home))
    except StackFault as fault:
        raise SettingsFault(str(fault)) from fault
    console.print("[bold]Fakturo is up.[/bold] See `fakturo status`; stop with `fakturo down`. To connect:")
    for name, value in environment.items():
        console.print(f"export {name}={shlex.quote(value)}", markup=False, highlight=False, soft_wrap=True)


def down(home: Path) -> None:
    """Stop what runs under `home`; the books stay."""
    with console.status("stopping agents, broker and database"):
        Stack(home).down()
    console.print(f"Stopped. The books stay in {home}; `fakturo up` brings them back.")


def migrate(home: Path) -> None:
    """Bring the tables of DATABASE_URL, or of the embedded database, up to date."""
    migrate_database(environment_of(home)["DATABASE_URL"])
    console.print("The tables are up to date.")


def prepare(
    environment: Mapping[str, str], home: Path, *, prefix: str = "", keep_producer_time: bool = False
) -> Settings:
    """Migrate the database and create missing topics; return the settings that connect to them."""
    settings = load_settings(
        kafka=environment["FAKTURO_KAFKA"],
        DATABASE_URL=environment["DATABASE_URL"],
        home=home,
        **({"topic_prefix": prefix} if prefix else {}),
    )
    load_offers(settings.catalog)  # the contracts agent would refuse it too, but into its log
    load_profile(settings.profile)
    migrate_database(settings.database_url)
    asyncio.run(apply_topics(settings, keep_producer_time=keep_producer_time))
    return settings


def keep(home: Path, environment: Mapping[str, str], agents: Sequence[str]) -> None:
    """Keep what the agents are started with, for the next `up`."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "agents.json").write_text(json.dumps({"environment": dict(environment), "agents": list(agents)}, indent=1))


def _kept(home: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    path = home / "agents.json"
    if not path.exists():
        return {}, LIVE
    kept = json.loads(path.read_text())
    return dict(kept["environment"]), tuple(kept["agents"])


def _with_crm_feed(agents: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return `agents`, with crm_feed where another connector's topics are named."""
    is_wanted = bool(environment.get("FAKTURO_CRM_TOPICS")) and CRM_FEED not in agents
    return (CRM_FEED, *agents) if is_wanted else agents


def status(home: Path, *, as_json: bool) -> None:
    """Show the parts, how far each agent is, its lag, and what waits."""
    document: dict[str, Any] = {"parts": [_part(part) for part in Stack(home).status()]}
    running = all(part["state"] != "stopped" for part in document["parts"][:2])
    if running:
        document["agents"], document["books"] = read_books(home, _progress)
        document["lag"] = asyncio.run(_lag(settings_of(home)))
    if as_json:
        print_json(document)
        return
    console.print(table_of("Parts", ("name", "state", "pid", "address", "crashes"), document["parts"]))
    if not running:
        console.print(f"The stack of {home} is down: `fakturo up` brings it back.")
        return
    lag = {row["agent"]: row for row in document["lag"]}
    rows = [{**row, **lag.get(row["agent"], {"lag_records": 0, "lag_seconds": "0"})} for row in document["agents"]]
    if rows:
        console.print(table_of("Agents", rows[0], rows))
    books = document["books"]
    console.print(
        f"{books['invoices']:,} invoices, {books['journals']:,} journals, "
        f"{books['late_events']:,} usage events came after their period's close; revised statements count them, "
        f"{books['late_waiting']:,} after the next tick. {books['corrections']:,} corrections of usage.",
        highlight=False,
    )


async def _progress(connection: asyncpg.Connection) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    agents = [dict(row) for row in await connection.fetch(_PROGRESS)]
    books = await connection.fetchrow(_WAITING)
    return agents, dict(books or {})


async def _lag(settings: Settings) -> list[dict[str, Any]]:
    from fakturo.consumers.runtime.lag import lag_once

    connection = await asyncpg.connect(settings.database_url)
    try:
        lags = await lag_once(settings, connection)
    finally:
        await connection.close()
    agents = sorted({lag.agent for lag in lags})
    return [
        {
            "agent": agent,
            "lag_records": sum(lag.records for lag in lags if lag.agent == agent),
            "lag_seconds": f"{max((lag.seconds for lag in lags if lag.agent == agent), default=0):.1f}",
        }
        for agent in agents
    ]


def _part(part: Any) -> dict[str, Any]:
    return {
        "name": part.name,
        "state": part.state,
        "pid": str(part.pid) if part.pid else None,
        "address": part.address,
        "crashes": part.crashes,
    }
