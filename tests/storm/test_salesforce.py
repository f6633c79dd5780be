"""The Salesforce storm: after 20,000 record changes, every fault of the bus and 30 kills the book equals the org.

Input     a sandbox org in this process (org_changes.py), read by two bridges; two workers of contracts, two relays, on
          a real Apache Kafka and a Postgres that syncs.
Checks    the field values of the book are the org's (`fakturo salesforce drift`'s own comparison); every change that
          was told stands in its history, and each value took effect at the second in which it was committed
          (org_history.py); a `read_committed` reader sees no change twice and no break of a sequence; the dead letters
          are empty.
Outage    then the org's stream is off for longer than its retention while 5,000 records change: no drift either.
Settings  FAKTURO_STORM_SEED (printed), FAKTURO_STORM_CHANGES, FAKTURO_STORM_KILLS.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from fakturo.cli.salesforce.drift import compare
from fakturo.cli.sandbox.clock import epoch_ms
from fakturo.cli.sandbox.running import run_sandbox
from fakturo.cli.sandbox.server import RunningSandbox
from fakturo.consumers.contracts.history import RecordHistory
from fakturo.consumers.contracts.publication import END_OF_TIME
from fakturo.consumers.contracts.store import load_histories
from fakturo.consumers.runtime.salesforce.errors import OrgFault
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import load_salesforce_settings
from fakturo.producers.simulate.flights_contracts import catalog_path
from fakturo.schemas.topics import CONTRACTS, SF_TOPICS
from tests.storm.breaker import Breaker, tally
from tests.storm.org_changes import Company
from tests.storm.org_history import Fate, Key, OrgHistory
from tests.storm.reader import read_all
from tests.storm.rig import PARTITIONS, SESSION_SECONDS, Rig, agent_commands
from tests.storm.schedule import BROKER, DATABASE, Blow, Kind, plan
from tests.storm.trouble import Trouble

pytestmark = pytest.mark.storm

SEED = int(os.environ.get("FAKTURO_STORM_SEED") or time.time_ns() % 1_000_000)
CHANGES = int(os.environ.get("FAKTURO_STORM_CHANGES") or 20_000)
KILLS = int(os.environ.get("FAKTURO_STORM_KILLS") or 30)
OUTAGE_CHANGES = 5_000
PACE_SECONDS = 3.0
PATIENCE_SECONDS = 240.0
ENTITIES = "Account,Contact,Contract,Order,OrderItem,Product2,PricebookEntry,ProductSellingModel,Opportunity"
BRIDGES = ("salesforce/0", "salesforce/1")
OTHERS = ("contracts/0", "contracts/1", "relay/0", "relay/1")

_TOLD = "NOT v.is_row AND v.field <> '$swept'"
_ARRIVED = f"""
SELECT min(newest_at) FROM (
    SELECT max(v.effective_at) AS newest_at
      FROM contracts.record r JOIN contracts.field_version v USING (entity, record_id)
     WHERE r.entity = 'Account' AND {_TOLD} GROUP BY r.partition) each
"""
_TOLD_SINCE = f"""
SELECT EXISTS (SELECT FROM contracts.field_version v
                WHERE {_TOLD} AND v.effective_at > to_timestamp($1::bigint / 1000.0) + interval '1 second')
"""
_LEFT = """
SELECT (SELECT count(*) FROM runtime.outbox) AS outbox, (SELECT count(*) FROM runtime.dead_letter) AS dead_letters
"""


def blows() -> list[Blow]:
    """Return whom to strike: the bridges most of all, and what they stand on."""
    found: list[Blow] = [(name, Kind.KILL) for name in (*BRIDGES, *BRIDGES, *BRIDGES, *BRIDGES, *OTHERS, *OTHERS)]
    found += [(name, Kind.STOP) for name in (*BRIDGES, *OTHERS)]
    found += [(name, Kind.FREEZE) for name in (*BRIDGES, "contracts/0", "relay/1")]
    return [(BROKER, Kind.KILL), (DATABASE, Kind.KILL), *found]


async def test_the_book_equals_the_org_after_every_fault_and_thirty_kills(tmp_path: Path) -> None:
    strikes = plan(SEED, blows(), KILLS, pace_seconds=PACE_SECONDS, freeze_seconds=SESSION_SECONDS + 3)
    print(f"\nFAKTURO_STORM_SEED={SEED}: {CHANGES:,} record changes; {tally(strikes)}")
    async with _stage(tmp_path) as stage:
        stage.company.found(accounts=120, products=30)
        await stage.rig.start_all()
        stage.breaker.say("     broker, database, org, two bridges, two workers and two relays are up")
        await stage.until("the stream has begun", stage.has_begun)
        stage.history.fate = Fate.TOLD
        stage.breaker.start()
        working = asyncio.create_task(stage.work(CHANGES))
        for strike in strikes:
            await asyncio.sleep(strike.pause_seconds)
            await stage.breaker.strike(strike)
        await stage.breaker.recovered()
        await working
        stage.breaker.say(
            f"     {stage.company.changed:,} record changes committed; faults: {dict(stage.trouble.done)}"
        )
        await stage.until("the book equals the org", stage.is_equal)
        stage.breaker.say("     the book equals the org, field by field")
        await stage.check_effects()
        await stage.check_published()
        assert stage.breaker.struck.total() == len(strikes), f"seed {SEED}"

        await stage.outage(OUTAGE_CHANGES)
        await stage.until("the book equals the org after the outage", stage.is_equal)
        stage.breaker.say("     the stream was off for longer than its retention; no drift is left")
        await stage.check_published()


@asynccontextmanager
async def _stage(folder: Path) -> AsyncIterator["Stage"]:
    async with run_sandbox(seed=SEED) as sandbox:
        sandbox.org.faults.keepalive_seconds = 1.0
        commands, settings = agent_commands((*BRIDGES, *OTHERS)), _environment(sandbox)
        async with Rig(folder, commands, settings) as rig:
            stage = Stage(sandbox, rig, Breaker(rig, "records changed"), Company(sandbox.org, random.Random(SEED)))
            try:
                yield stage
            finally:
                await stage.breaker.stop()


def _environment(sandbox: RunningSandbox) -> dict[str, str]:
    told = sandbox.told()
    return {
        "FAKTURO_CATALOG": str(catalog_path()),
        "FAKTURO_INTERIM_SECONDS": "0.5",
        "FAKTURO_SALESFORCE_LOGIN_URL": str(told["rest_url"]),
        "FAKTURO_SALESFORCE_PUBSUB_TARGET": str(told["pubsub_target"]),
        "FAKTURO_SALESFORCE_CA_FILE": str(told["ca_file"]),
        "FAKTURO_SALESFORCE_CLIENT_ID": str(told["client_id"]),
        "FAKTURO_SALESFORCE_CLIENT_SECRET": str(told["client_secret"]),
        "FAKTURO_SALESFORCE_ENTITIES": ENTITIES,
        "FAKTURO_SALESFORCE_RECONCILE_SECONDS": "5",
    }


@dataclass
class Stage:
    """The org and the system that reads it."""

    sandbox: RunningSandbox
    rig: Rig
    breaker: Breaker
    company: Company

    def __post_init__(self) -> None:
        self.history = OrgHistory(self.sandbox.org)
        self.salesforce = load_salesforce_settings(
            login_url=self.sandbox.rest_url,
            client_id=self.sandbox.access.client_id,
            client_secret=self.sandbox.access.client_secret,
            ca_file=self.sandbox.ca_file,
        )
        self.trouble = Trouble(self.sandbox, self.company, self.history, self)

    async def until(self, what: str, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds; a world that is away for a moment is no answer."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                if await holds():
                    return
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                pass
            assert time.monotonic() < deadline, f"seed {SEED}: not within {PATIENCE_SECONDS:.0f} s: {what}"
            await asyncio.sleep(1)

    async def work(self, changes: int) -> None:
        """Let the company work, evenly over the time that the strikes take, with trouble in between."""
        seconds = KILLS * PACE_SECONDS
        began, first = time.monotonic(), self.company.changed
        troubles = self.trouble.all()
        for number, trouble in enumerate(troubles, start=1):
            share = number / (len(troubles) + 1)
            await self._work_until(first + int(changes * share), began + seconds * share)
            await trouble()
            self.trouble.done[trouble.__name__] += 1
        await self._work_until(first + changes, began + seconds)

    async def _work_until(self, changed: int, at: float) -> None:
        while self.company.changed < changed:
            self.company.work()
            self.breaker.count_sent(self.company.changed)
            left = changed - self.company.changed
            await asyncio.sleep(max(at - time.monotonic(), 0) / max(left / 3, 1))

    async def outage(self, changes: int) -> None:
        """Turn the stream off, change records for longer than events are kept, and turn it on again."""
        faults = self.sandbox.org.faults
        self.history.fate = Fate.UNTOLD
        faults.apply({"stream_off": True, "retention_seconds": 2})
        wanted = self.company.changed + changes
        while self.company.changed < wanted:
            self.company.work()
            await asyncio.sleep(0)
        await asyncio.sleep(5)
        faults.apply({"stream_off": False, "retention_seconds": 72 * 3600})
        self.company.work()  # the first event that is told again

    async def has_begun(self) -> bool:
        """Return whether the records from before have arrived: then what comes is told by the stream."""
        connection = await self.rig.connect()
        try:
            found = await connection.fetchval("SELECT count(*) FROM contracts.record WHERE entity = 'Account'")
        finally:
            await connection.close()
        return bool(found == len(self.company.ids["Account"]))

    async def is_equal(self) -> bool:
        """Return whether nothing is on its way and the comparison finds no difference in any object."""
        connection = await self.rig.connect()
        org = Org(self.salesforce)
        try:
            if await connection.fetchval("SELECT EXISTS (SELECT FROM runtime.outbox)"):
                return False
            await org.open()
            for entity in ENTITIES.split(","):
                compared = await compare(org, connection, entity)
                assert compared.note == "", compared.note
                if compared.differing:
                    self.breaker.say(f"     {len(compared.differing)} differences of {entity}: {compared.differing[0]}")
                    return False
                if compared.book_records != compared.org_records:  # some came while it was compared
                    return False
        except OrgFault as fault:
            self.breaker.say(f"     the org does not answer: {fault}")
            return False
        finally:
            await org.close()
            await connection.close()
        return True

    async def arrived_ms(self) -> int:
        """Return up to which commit all events have surely arrived in the book; 0 where it cannot be asked."""
        found = await self._asked(_ARRIVED)
        return 0 if found is None else epoch_ms(found)

    async def is_told_since(self, since_ms: int) -> bool:
        """Return whether an event of after `since_ms` has arrived in the book."""
        return bool(await self._asked(_TOLD_SINCE, since_ms))

    async def _asked(self, query: str, *arguments: Any) -> Any:
        """Return what the database answers, None where it is away."""
        try:
            connection = await self.rig.connect()
            try:
                return await connection.fetchval(query, *arguments)
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return None

    async def check_effects(self) -> None:
        """Check that every change that was told stands in the book, and that each value took effect at its commit."""
        wrong: list[str] = []
        checked = inexact = 0
        connection = await self.rig.connect()
        try:
            for keys in batched(sorted(key for key in self.history.fields if key[0] in ENTITIES.split(","))):
                names = {name for key in keys for name, _ in self.history.changes(key)}
                histories = await load_histories(connection, [key[1] for key in keys], names, END_OF_TIME)
                for key in keys:
                    wrong += self._lost(key, histories[key[1]])
                    for name, truth, allowed in self.history.expected(key):
                        found_at = histories[key[1]].holds_since(name)
                        found_ms = None if found_at is None else epoch_ms(found_at)
                        checked += 1
                        inexact += found_ms != truth.commit_ms
                        if found_ms not in allowed:
                            wrong.append(f"{key} {name} since {found_ms}, not {sorted(allowed)} ({truth.fate})")
                            self._say_both(key, name, histories[key[1]])
        finally:
            await connection.close()
        self.breaker.say(f"     {checked:,} effective times checked, {inexact:,} of changes that nobody told of")
        assert wrong[:10] == [], f"seed {SEED}: {len(wrong)} wrong"

    def _lost(self, key: Key, history: RecordHistory) -> list[str]:
        """Return which changes of a record were told and are not in its history."""
        known = {(fact.field, epoch_ms(fact.effective_at)) for fact in history.facts}
        lost = [
            (name, one)
            for name, changes in self.history.changes(key)
            for one in changes
            if one.fate is Fate.TOLD and (name, one.commit_ms) not in known
        ]
        for name in dict.fromkeys(name for name, _ in lost):
            self._say_both(key, name, history)
        return [f"{key} {name} of {one.commit_ms} was told and is not in the book" for name, one in lost]

    def _say_both(self, key: Key, name: str, history: RecordHistory) -> None:
        org = [(one.value, one.commit_ms, one.fate.value) for one in dict(self.history.changes(key))[name]]
        book = [
            (one.value, epoch_ms(one.effective_at), "row" if one.is_row else "event", one.gap_at)
            for one in history.facts
            if one.field == name
        ]
        self.breaker.say(f"     {key} {name}: the org {org}, the book {book}, resets {self.trouble.resets}")

    async def check_published(self) -> None:
        """Check what a `read_committed` reader sees: each change once, sequences without a hole, no dead letter."""
        seen = await read_all(self.rig.kafka.bootstrap, (CONTRACTS.name,), PARTITIONS, keep=())
        faults = [fault for fault in seen.faults if "follows on" not in fault]  # a compacted topic may jump
        assert faults == [], f"seed {SEED}"
        counts = await _changes_of(self.rig.kafka.bootstrap)
        twice = [identity for identity, number in counts.items() if number > 1]
        self.breaker.say(f"     {counts.total():,} change records and {seen.record_count:,} contracts read, none twice")
        assert twice[:5] == [], f"seed {SEED}: {len(twice)} changes were published twice"
        connection = await self.rig.connect()
        try:
            assert dict(await connection.fetchrow(_LEFT)) == {"outbox": 0, "dead_letters": 0}, f"seed {SEED}"
        finally:
            await connection.close()


def batched(keys: Sequence[Key], size: int = 200) -> Iterator[Sequence[Key]]:
    """Yield `keys` in portions."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


async def _changes_of(bootstrap: str) -> Counter[tuple[str, str, str]]:
    """Count the records on `sf.cdc.*` by topic, record id and event id."""
    counts: Counter[tuple[str, str, str]] = Counter()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    try:
        places = [TopicPartition(topic.name, number) for topic in SF_TOPICS for number in range(PARTITIONS)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(places)
        waiting = set(places)
        while waiting:
            for place, records in (await consumer.getmany(timeout_ms=500)).items():
                for record in records:
                    change = msgspec.json.decode(record.value)
                    counts[place.topic, f"{record.partition}/{change['recordId']}", change["eventId"]] += 1
            waiting = {place for place in waiting if await consumer.position(place) < ends[place]}
    finally:
        await consumer.stop()
    return counts
