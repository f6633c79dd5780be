"""Restated values: what the windows of closed months say once later documents count where they belong.

Place     closing, after the day's values -> [this] -> `kpi.restated` and `billing.kpis`, beside what was reported.
Rule      a correction, a credit note or a void counts on the day of the invoice that it corrects, as if it had come
          with it, and no more on its own. So the restated revenue of all months adds up to what was reported in all.
Which     the last days of months, from the month of the corrected invoice until the document is out of every window,
          and the KPIs of `engine.kpi.RESTATED`.
Once      a value is told where it differs from what was last said of its day: as restated, else as reported. The book's
          key refuses a second one of a day's close. What was reported stays.
Source    docs/adr/0027-restated-kpis.md.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from fakturo.consumers.kpi import restated_store
from fakturo.consumers.kpi.restated_store import Move, ReportedKpi
from fakturo.consumers.kpi.values import Value, restated_event, restated_key
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.kpi import WINDOW_DAYS, Shift, restated
from fakturo.engine.money import exponent_of
from fakturo.schemas.topics import KPIS


async def restate(accounts: Sequence[str], day: date, tx: Transaction) -> None:
    """Restate what is due of `accounts` at the close of `day`, and publish what differs from what was last said."""
    due = await restated_store.take_due(tx.driver, accounts, day)
    if not due:
        return
    moves = await restated_store.moves_of(tx.driver, due)
    changed: list[tuple[Value, date]] = []
    for one in await restated_store.reported_of(tx.driver, due):
        value = _restated(one, moves.get((one.value.account, one.value.currency), ()))
        if value.figures != one.last_said:
            changed.append((value, one.as_of))
    changed.sort(key=lambda pair: (pair[0].key, pair[1]))
    await restated_store.write(tx.driver, changed, day)
    for value, as_of in changed:
        tx.emit(KPIS, restated_event(value, as_of, day), account=value.account, key=restated_key(value, as_of))


def _restated(one: ReportedKpi, moves: Sequence[Move]) -> Value:
    digits = exponent_of(one.value.currency)
    return replace(one.value, kpi=restated(one.value.kpi, _shift(one.value.kpi.window, one.as_of, moves), digits))


def _shift(window: str, as_of: date, moves: Sequence[Move]) -> Shift:
    """Return what the moves bring into the window that ends with `as_of`, less what they take out of it."""
    days = WINDOW_DAYS.get(window)
    after = date.min if days is None else as_of - timedelta(days=days)
    net = gross = invoices = receivable = 0
    for move in moves:
        sign = (after < move.corrected_on <= as_of) - (after < move.effective_on <= as_of and move.booked_on <= as_of)
        net += sign * move.net_minor
        gross += sign * move.gross_minor
        invoices += sign * move.invoices
        receivable += (move.corrected_on <= as_of < move.booked_on) * move.gross_minor
    return Shift(net_minor=net, gross_minor=gross, invoices=invoices, receivable_minor=receivable)
