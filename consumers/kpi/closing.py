"""Closing days: which day comes next, and for whom its facts become tiles, totals and values.

Place     handler's `advance` -> [this] -> closing_store (SQL), values (formulas) -> events.
Days      only days on which something changes are closed: facts are booked on them, a day falls out of a window, a
          subscription's term ends, or a month ends that later documents restate (restating.py).
          They are closed in order, so a jump over many days gives the same books as ticks one by one.
Bound     a call does at most `ACCOUNTS_A_CALL` accounts; `kpi.progress` says where the next one goes on. The portfolio
          is done last of a day, from tiles of its own.
"""

from datetime import date

from fakturo.consumers.kpi import closing_store, renewal_store, restating, value_store
from fakturo.consumers.kpi.values import Value, computed, update_event
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.events.kpis import PORTFOLIO
from fakturo.schemas.topics import KPIS

ACCOUNTS_A_CALL = 500


async def close_days(last_on: date, tx: Transaction) -> bool:
    """Close days up to `last_on`, in order; return whether more remains."""
    driver, left = tx.driver, ACCOUNTS_A_CALL
    progress = await closing_store.lock_progress(driver)
    while left > 0:
        day = progress.closing_on or await closing_store.next_change_on(driver, progress.closed_on)
        if day is None or day > last_on:
            await closing_store.save_progress(driver, progress.closed_up_to(last_on))
            return False
        accounts = await closing_store.accounts_of(driver, day, progress.closing_after, left)
        await _close(accounts, day, tx)
        left -= len(accounts) + 1
        if accounts:
            progress = progress.done_to(day, accounts[-1])
        if left >= 0:
            await _close_portfolio(day, tx)
            progress = progress.closed(day)
    await closing_store.save_progress(driver, progress)
    return True


async def _close(accounts: list[str], day: date, tx: Transaction) -> None:
    if not accounts:
        return
    await closing_store.fold(tx.driver, accounts, day)
    await closing_store.fold_settlements(tx.driver, accounts)
    sums = await value_store.sums_of(tx.driver, dict.fromkeys(accounts, day))
    await closing_store.count_active(tx.driver, sums)
    renewals = await renewal_store.next_renewals(tx.driver, accounts, day)
    await renewal_store.wake(tx.driver, renewals)
    await _report(computed(sums, {}, renewals), accounts, day, tx)
    await restating.restate(accounts, day, tx)


async def _close_portfolio(day: date, tx: Transaction) -> None:
    sums = await value_store.sums_of(tx.driver, {PORTFOLIO: day})
    active = await value_store.active_customers(tx.driver)
    await _report(computed(sums, active), [PORTFOLIO], day, tx)
    await restating.restate([PORTFOLIO], day, tx)
    await closing_store.show_again(tx.driver)


async def _report(values: list[Value], accounts: list[str], day: date, tx: Transaction) -> None:
    """Write and publish the values that changed; also those whose interim value, now taken back, said otherwise."""
    reported = await value_store.reported(tx.driver, accounts)
    interim = await value_store.take_back_interim(tx.driver, accounts)
    changed = [value for value in values if reported.get(value.key) != value.figures]
    await value_store.write(tx.driver, changed, day)
    differing = [value for value in values if interim.get(value.key, value.figures) != value.figures]
    told = {value.key: value for value in (*changed, *differing)}
    for value in sorted(told.values(), key=lambda value: value.key):
        tx.emit(KPIS, update_event(value, day), account=value.account, key=value.record_key)
