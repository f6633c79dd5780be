"""Corrected and voided usage: corrections are checked, bound to their event, and its counts exchanged.

Place     claiming parks corrections -> `flush`, and `next_stop` before time moves -> [this: chains, exchanging]
          -> `usage.correction`, totals, what waits for the tick.
Why later a correction may come before its event, or on another worker. Parked, and applied by one transaction that is
          alone with the contracts (no usage is being counted, no statement made), it can miss nothing, and the hot
          path pays nothing for it. It takes a second at most; a tick applies all that came before it.
Waits     for its event, or for the account of its replacement, like anything that is parked: after
          `parked_seconds_max` it goes to the dead letters, and says what never came.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from fakturo.consumers.runtime.isolation import handle_isolated
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.consumers.usage import account_store, corrected_store, retotalling, statement_store
from fakturo.consumers.usage.accounts import AccountDirectory
from fakturo.consumers.usage.chains import Chains
from fakturo.consumers.usage.claiming import Waiting
from fakturo.consumers.usage.corrected_reading import TO_APPLY, Correction, read_correction, waited_for, waits_for
from fakturo.consumers.usage.event_store import find_events
from fakturo.consumers.usage.exchanging import Exchange
from fakturo.consumers.usage.retention import Retention
from fakturo.consumers.usage.time_rules import TimeRules
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.topics import USAGE

CORRECTIONS_MAX = 500
"""How many corrections are applied in one call."""

LOOKED_FOR_MAX = 1_000
"""For how many events that have not come a `flush` looks; a tick looks for all."""

RETOTALLED_MAX = 500
"""How many quarters of an hour are totalled again in one call of `advance`."""


@dataclass(frozen=True, slots=True)
class Corrections:
    """Applies corrections."""

    time_rules: TimeRules
    retention: Retention

    async def apply(self, tx: Transaction, *, at_tick: bool) -> bool:
        """Apply a part of the corrections that came, and whose event came; return whether there were any."""
        references = await _ready(tx, None if at_tick else LOOKED_FOR_MAX)
        if not references:
            return False
        await statement_store.lock_statements(tx.driver)
        await account_store.lock_contracts(tx.driver, alone=True)
        records = await tx.release_parked(references, CORRECTIONS_MAX)
        if records:
            await handle_isolated(self, records, tx)
        return bool(records)

    async def handle(self, batch: Sequence[Record], tx: Transaction) -> None:
        """Apply what can be of `batch`, which was parked; park what still waits. The caller is alone."""
        corrections = _read_all(batch, tx)
        directory = AccountDirectory()
        chains = await Chains.load(corrections, tx.driver)
        await directory.load(tx.driver, chains.subjects())
        exchange = Exchange(directory, self.time_rules, self.retention)
        waiting: list[Waiting] = []
        left = corrections
        while left:
            unbound = [one for one in left if not chains.bind(one, exchange, waiting, tx)]
            if len(unbound) == len(left):
                break
            left = unbound  # one of them may correct a replacement that was bound just now
        await exchange.write(tx)
        waiting += [_awaits_its_event(one) for one in left]
        tx.count(USAGE.name, "released", len(batch) - len(waiting))
        tx.count(USAGE.name, "parked", -len(waiting))  # they were parked before: `park` counts them once more
        await tx.park(waiting)


def _read_all(records: Sequence[Record], tx: Transaction) -> list[Correction]:
    corrections = []
    for record in records:
        try:
            corrections.append(read_correction(record))
        except SchemaError as error:
            tx.reject(record, error.reason, str(error))
    return corrections


def _awaits_its_event(correction: Correction) -> Waiting:
    source, event_id = correction.corrects
    text = f"event {event_id!r} of {source!r}, which it corrects, has not come"
    return correction.record, waits_for(correction.corrects), text


async def _ready(tx: Transaction, looked_for_max: int | None) -> list[str]:
    """Return the references under which there is something to apply."""
    references = await corrected_store.parked_references(tx.driver, tx.agent, looked_for_max)
    awaited = {waited_for(one): one for one in references if one != TO_APPLY}
    come = await find_events(tx.driver, sorted(awaited)) if awaited else {}
    return sorted({awaited[one] for one in come} | {TO_APPLY}.intersection(references))


async def retotal(to: datetime, tx: Transaction) -> bool:
    """Total a part of the quarters again from which a correction took something; return whether more remain."""
    await statement_store.lock_statements(tx.driver)
    await account_store.lock_contracts(tx.driver, alone=False)
    return await retotalling.at_tick(to, RETOTALLED_MAX, tx)
