"""The storm: the books after at least 40 kills and stops are, byte for byte, those of a calm run.

Input     the first 100,000 flights of 2013 with contracts, payments, requests (asked.py) and the daily clock, on a real
          Apache Kafka and a Postgres that syncs; two workers an agent, two relays. For crm_feed another connector's
          topic (foreign.py), for crm_sync an org (org.py).
Settings  FAKTURO_STORM_SEED (printed), FAKTURO_STORM_EVENTS, FAKTURO_STORM_KILLS.
Account   printed as it goes: `make storm`.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakturo.cli.verify import verify_books
from fakturo.cli.verify_result import Verification
from fakturo.consumers.runtime.settlement import settle
from fakturo.producers.simulate.flights_contracts import catalog_path
from fakturo.producers.simulate.year import YEAR_STARTS_AT, publish_contracts
from fakturo.schemas.events.invoices import CREDIT_NOTE_ISSUED, INVOICE_FINALIZED
from fakturo.schemas.events.requests import CREDIT_NOTE_REQUESTED, INVOICE_VOID_REQUESTED, INVOICE_WRITE_OFF_REQUESTED
from fakturo.schemas.topics import INVOICES, OUTPUT_TOPICS
from tests.storm import foreign, org
from tests.storm.asked import requests
from tests.storm.books import compare, dump, fingerprint, undecided
from tests.storm.breaker import Breaker, tally
from tests.storm.flow import OPEN, Channel, Gate, flow_until
from tests.storm.reader import Seen, read_all
from tests.storm.rig import PARTITIONS, SESSION_SECONDS, Rig, agent_commands
from tests.storm.said_later import Kind as SaidKind
from tests.storm.said_later import expected_of, records_of, said_later
from tests.storm.schedule import BROKER, DATABASE, RELAYS, WORKERS, Strike, plan, whole_system
from tests.storm.settling import unread, unsent, until_none
from tests.storm.traffic import flights

pytestmark = pytest.mark.storm

SEED = int(os.environ.get("FAKTURO_STORM_SEED") or time.time_ns() % 1_000_000)
EVENTS = int(os.environ.get("FAKTURO_STORM_EVENTS") or 100_000)
KILLS = int(os.environ.get("FAKTURO_STORM_KILLS") or len(whole_system()))
PACE_SECONDS = 3.0
USAGE_SHARE = 0.9
"""Of the strikes, this part falls while flights flow, the rest while only time, payments and KPIs go on."""
PAYMENTS_END_AFTER = timedelta(days=61)
"""Of the last period billed, F9 and YV pay last: 14 days and 40 more."""
PATIENCE_SECONDS = 120.0
FAULTS_SHOWN = 8

ISSUED = (INVOICE_FINALIZED, CREDIT_NOTE_ISSUED)
LIFE = (INVOICE_VOID_REQUESTED, CREDIT_NOTE_REQUESTED, INVOICE_WRITE_OFF_REQUESTED)

_NUMBERS = "SELECT number FROM invoicing.invoice"
_LEFT = """
SELECT (SELECT count(*) FROM runtime.outbox) AS outbox, (SELECT count(*) FROM runtime.parked) AS parked,
       (SELECT count(*) FROM runtime.dead_letter) AS dead_letters,
       (SELECT coalesce(sum(late_count), 0)::bigint FROM usage.segment) AS late_events,
       (SELECT coalesce(sum(event_count), 0)::bigint FROM usage.segment) AS events,
       (SELECT count(*) FROM crm_sync.written WHERE dirty) AS unsent,
       (SELECT coalesce(sum(amount_minor), 0) FROM ledger.line) AS imbalance_minor
"""
_CORRECTED = """
SELECT (SELECT count(*) FROM usage.correction) AS corrections,
       (SELECT count(*) FROM usage.superseded_event) AS superseded,
       (SELECT count(*) FROM usage.final_statement WHERE revision > 1) AS revisions,
       (SELECT count(*) FROM invoicing.invoice_line l JOIN invoicing.invoice i USING (invoice_id)
         WHERE l.corrects_invoice IS NOT NULL AND NOT i.requested) AS corrected_lines
"""
"""What usage that is said later leaves in the books, but for the events."""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run left behind."""

    books: Path
    counts: dict[str, int]
    left: dict[str, int]
    corrected: dict[str, int]
    numbers: list[str]
    seen: Seen
    seconds: float
    breaker: Breaker
    verified: Verification
    of_org: list[str] = field(default_factory=list)
    of_feed: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def horizon() -> tuple[datetime, date, datetime]:
    """Return when the last flight leaves, the first day that is not billed, and until when time goes on."""
    (last,) = deque(flights(EVENTS), maxlen=1)
    billing_until = (last.at.date().replace(day=1) + timedelta(days=32)).replace(day=1)
    return last.at, billing_until, datetime.combine(billing_until, datetime.min.time(), UTC) + PAYMENTS_END_AFTER


async def test_the_books_after_a_storm_are_those_of_a_calm_run(
    tmp_path: Path, horizon: tuple[datetime, date, datetime]
) -> None:
    strikes = plan(SEED, whole_system(), KILLS, pace_seconds=PACE_SECONDS, freeze_seconds=SESSION_SECONDS + 3)
    print(f"\nFAKTURO_STORM_SEED={SEED}: {EVENTS:,} flights; {tally(strikes)}")
    calm = await _run("calm", tmp_path / "calm", horizon, [])
    storm = await _run("storm", tmp_path / "storm", horizon, strikes)
    _print_totals(calm, storm)

    assert storm.breaker.struck.total() == len(strikes), f"seed {SEED}"
    said = said_later(EVENTS)
    expected = expected_of(said)
    assert {(one.kind, one.closed) for one in said} == set(product(SaidKind, (False, True)))
    for outcome in (calm, storm):
        assert outcome.left == {
            "outbox": 0,
            "parked": 0,
            "dead_letters": 0,
            "late_events": expected.late_events,
            "events": EVENTS + expected.events,
            "unsent": 0,
            "imbalance_minor": 0,
        }, f"seed {SEED}"
        assert outcome.seen.faults == [], f"seed {SEED}"
        _check_invoices(outcome)
        assert outcome.verified.differences == [], f"seed {SEED}"
        assert outcome.of_org == [], f"seed {SEED}"
        assert outcome.of_feed == [], f"seed {SEED}"
    differences = compare(calm.books, storm.books)
    assert differences == [], f"seed {SEED}"
    assert calm.counts["invoicing.invoice"] > 0
    assert calm.counts["invoicing.request"] == sum(1 for request in requests() if request.type in LIFE)
    assert calm.counts["invoicing.credit_use"] > 0
    assert calm.counts["invoicing.coupon_use"] > 0
    assert calm.counts["ledger.allocation"] > 0
    assert calm.counts["kpi.value"] > 0
    assert calm.counts["kpi.restated"] > 0
    assert calm.corrected["corrections"] == calm.corrected["superseded"] == expected.corrections
    assert calm.corrected["revisions"] > 0
    assert calm.corrected["corrected_lines"] > 0
    assert calm.counts["crm_sync.written"] > calm.counts["invoicing.invoice"]


async def _run(name: str, folder: Path, horizon: tuple[datetime, date, datetime], strikes: Sequence[Strike]) -> Outcome:
    began = time.monotonic()
    print(f"\n== {name} run")
    with org.airlines_org(folder / "package") as sandbox:
        environment = _environment(horizon[1]) | org.environment_of(sandbox)
        async with Rig(folder, agent_commands((*WORKERS, *RELAYS)), environment) as rig:
            breaker = Breaker(rig)
            await foreign.create_topic(rig.settings)
            await rig.start_all()
            breaker.say(f"     an org, broker, database, {len(WORKERS)} workers and {len(RELAYS)} relays are up")
            changes = foreign.foreign_changes(horizon[0])
            await _flow(rig, breaker, horizon, strikes, changes)
            connection = await rig.connect()
            try:
                await _settled(rig, connection, horizon[2], changes)
                breaker.say("     all is worked off, and the org written")
                outcome = await _outcome(rig, connection, breaker, began)
                outcome.of_org = await org.faults_of(connection, sandbox)
                outcome.of_feed = await foreign.faults_of(rig.settings, changes)
                breaker.say(f"     org and books {_count(outcome.of_org)}, foreign changes {_count(outcome.of_feed)}")
                return outcome
            finally:
                await connection.close()


async def _settled(
    rig: Rig, connection: asyncpg.Connection, until: datetime, changes: list[foreign.ForeignChange]
) -> None:
    """Wait until all is worked off: the foreign topic, our own, and what is to go to the org."""
    ends = await foreign.ends_of(rig.settings)
    await until_none(partial(unread, connection, ends), patience_seconds=PATIENCE_SECONDS)
    await settle(connection, {}, until, patience_seconds=PATIENCE_SECONDS, poll_seconds=0.2)
    await until_none(partial(foreign.unbooked, connection, changes), patience_seconds=PATIENCE_SECONDS)
    await until_none(partial(unsent, connection), patience_seconds=PATIENCE_SECONDS)


async def _flow(
    rig: Rig,
    breaker: Breaker,
    horizon: tuple[datetime, date, datetime],
    strikes: Sequence[Strike],
    changes: list[foreign.ForeignChange],
) -> None:
    last_at, _, until = horizon
    gate = Gate()
    channel = Channel(rig.settings, gate)
    await channel.start()
    await publish_contracts(channel, rig.settings)
    breaker.start()
    flow = flow_until(
        channel,
        rig.settings,
        flights=flights(EVENTS),
        until=until,
        on_progress=breaker.count_sent,
        requests=requests(),
        said_later=records_of(said_later(EVENTS)),
    )
    flowing = asyncio.gather(flow, foreign.tell(channel, changes))
    try:
        for strike in strikes:
            gate.open_until(_released(strike.number / len(strikes), last_at, until))
            await asyncio.sleep(strike.pause_seconds)
            await breaker.strike(strike)
        gate.open_until(OPEN)
        await breaker.recovered()
        (sent, payments), told = await flowing
        breaker.say(f"     {sent:,} flights, {payments} payments, {told:,} foreign changes sent")
        breaker.say(f"     {channel.repeated} sends repeated")
    finally:
        flowing.cancel()
        await breaker.stop()
        await channel.stop()


def _released(share: float, last_at: datetime, until: datetime) -> datetime:
    """Return the instant of event time up to which input flows after `share` of the strikes."""
    if share <= USAGE_SHARE:
        return YEAR_STARTS_AT + (last_at - YEAR_STARTS_AT) * (share / USAGE_SHARE)
    return last_at + (until - last_at) * ((share - USAGE_SHARE) / (1 - USAGE_SHARE))


async def _outcome(rig: Rig, connection: asyncpg.Connection, breaker: Breaker, began: float) -> Outcome:
    missing = await undecided(connection)
    assert missing == [], f"tests/storm/tables does not say whether these are compared: {missing}"
    books = rig.folder / "books"
    counts = await dump(connection, books)
    left = dict(await connection.fetchrow(_LEFT))
    corrected = dict(await connection.fetchrow(_CORRECTED))
    numbers = [row["number"] for row in await connection.fetch(_NUMBERS)]
    verified = await verify_books(connection)
    names = tuple(topic.name for topic in OUTPUT_TOPICS)
    seen = await read_all(rig.kafka.bootstrap, names, PARTITIONS, keep=(INVOICES.name,))
    seconds = time.monotonic() - began
    breaker.say(f"     books written, {seen.record_count:,} published records read")
    return Outcome(
        books=books,
        counts=counts,
        left=left,
        corrected=corrected,
        numbers=numbers,
        seen=seen,
        seconds=seconds,
        breaker=breaker,
        verified=verified,
    )


def _environment(billing_until: date) -> dict[str, str]:
    return {
        "FAKTURO_CATALOG": str(catalog_path()),
        "FAKTURO_GRACE_SECONDS": "0",
        "FAKTURO_BILLING_UNTIL": billing_until.isoformat(),
        "FAKTURO_SELLER_NAME": "Port Airports of New York",
        "FAKTURO_SELLER_TIMEZONE": "America/New_York",
        "FAKTURO_INVOICE_SERIES": "INV",
        "FAKTURO_CRM_TOPICS": foreign.TOPIC,
    }


def _check_invoices(outcome: Outcome) -> None:
    """Check that the numbers are without a gap, and that a reader saw each invoice of the book once, as booked."""
    for series in ("INV", "CN"):
        found = sorted(int(number.rpartition("-")[2]) for number in outcome.numbers if number.startswith(f"{series}-"))
        assert found == list(range(1, len(found) + 1)), f"numbers of {series} (seed {SEED}): {found}"
    published: list[dict[str, Any]] = list(outcome.seen.documents.get(INVOICES.name, {}).values())
    numbers = sorted(event["data"]["number"] for event in published if event["type"] in ISSUED)
    assert numbers == sorted(outcome.numbers), f"seed {SEED}"
    assert len(numbers) == outcome.counts["invoicing.invoice"], f"seed {SEED}"


def _print_totals(calm: Outcome, storm: Outcome) -> None:
    struck = storm.breaker.struck
    print(f"\n== comparison (seed {SEED}), {struck.total()} strikes")
    print(f"seconds           calm {calm.seconds:.0f}, storm {storm.seconds:.0f}")
    for target in (*WORKERS, *RELAYS, BROKER, DATABASE):
        kinds = ", ".join(f"{number} {kind.value}" for (name, kind), number in struck.items() if name == target)
        print(f"struck            {target:<12} {kinds or 'not at all'}")
    print(f"ended unasked     {storm.breaker.unasked or 'none'}; stopped too slowly: {storm.breaker.overdue or 'none'}")
    for name, rows in calm.counts.items():
        same = (calm.books / f"{name}.csv").read_bytes() == (storm.books / f"{name}.csv").read_bytes()
        print(f"{name:<24} {rows:>8,} rows   {'same bytes' if same else 'DIFFERENT'}")
    print(f"published events  calm {sum(calm.seen.counts.values()):,}, storm {sum(storm.seen.counts.values()):,}")
    print(f"repeats and holes calm {len(calm.seen.faults)}, storm {len(storm.seen.faults)}")
    for fault in (*calm.seen.faults[:FAULTS_SHOWN], *storm.seen.faults[:FAULTS_SHOWN]):
        print(f"                  {fault}")
    print(f"org and books     calm {_count(calm.of_org)}, storm {_count(storm.of_org)}")
    print(f"foreign changes   calm {_count(calm.of_feed)}, storm {_count(storm.of_feed)}")
    for fault in (*calm.of_org, *storm.of_org, *calm.of_feed, *storm.of_feed)[:FAULTS_SHOWN]:
        print(f"                  {fault}")
    print(f"left              calm {calm.left}\n                  storm {storm.left}")
    print(f"corrected         calm {calm.corrected}\n                  storm {storm.corrected}")
    print(f"verify            calm {_verdict(calm)}, storm {_verdict(storm)}")
    print(f"sha256 of books   calm {fingerprint(calm.books)}\n                  storm {fingerprint(storm.books)}")
    for difference in compare(calm.books, storm.books):
        print(f"-- {difference.table}")
        print("\n".join(difference.lines))


def _count(faults: list[str]) -> str:
    return f"{len(faults)} differ" if faults else "equal"


def _verdict(outcome: Outcome) -> str:
    return f"{outcome.verified.checked:,} figures checked, {len(outcome.verified.differences)} differ"
