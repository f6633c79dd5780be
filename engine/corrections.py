"""Corrections: what is still to bill of an item's period, given what should be on its bills and what is.

Place     rated slices as they now stand + lines billed before -> [this] -> the lines of the next invoice.
Everything that is billed goes through it: first bills, partial bills at a threshold, revised final statements, licensed
items that changed after they were billed. So all bills of a period sum, to the cent, to one bill made at the end.
Rules     slices match by start, end and price hash. Of one that matches: the difference of the rounded amounts, no line
          where that is 0; of one that should no longer be: a reversal; of a new one where the period was billed before:
          a correction; where it was not: the charge itself.
Credited  what somebody asked to be credited of the period's lines stays a gift, but nobody gets the same money back
          twice: corrections take back no more than is left of what was billed after it.
Source    PRICING.md, Already billed. OpenMeter corrects a closed period alike (reference/billing.md, section 5).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from msgspec import structs

from fakturo.engine.explanations import Phrase, explain, settled
from fakturo.engine.invoicing import BilledItem
from fakturo.engine.money import ZERO, exact_amount, exact_context, exponent_of, from_minor
from fakturo.engine.periods import Period
from fakturo.schemas.events.contracts import SubscriptionItem

CHARGE = "charge"
CORRECTION = "correction"
REVERSAL = "reversal"

SliceKey = tuple[datetime, datetime, str]
"""Start, end and price hash: a slice of an item's period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledSlice:
    """One line that was billed of an item's period: `line` as it went on invoice `invoice_id`, with id `line_id`."""

    line: BilledItem
    line_id: str
    invoice_id: str


def outstanding(
    should: Sequence[BilledItem],
    billed: Sequence[BilledSlice],
    currency: str,
    *,
    taken: Sequence[BilledItem] = (),
    credited_minor: int = 0,
    locale: str | None = None,
) -> tuple[BilledItem, ...]:
    """Return the lines that bring what was `billed` of one item's period to what it `should` be.

    `billed` is in the order in which it was billed. Each line has the `sequence` that follows those of its item and
    slice start among `billed` and `taken` (lines that count no more, such as those of a void invoice, but keep their
    sequence). With nothing billed the lines are `should` as it is. Of what was billed `credited_minor` was credited by
    request: what the lines take back in all is at most the rest.
    """
    groups: dict[SliceKey, list[BilledSlice]] = {}
    for one in billed:
        groups.setdefault(_key(one.line), []).append(one)
    wanted = {_key(item) for item in should}
    gone = [group for key, group in sorted(groups.items()) if key not in wanted and billed_minor(group)]
    lines = [_reversal(group, currency, locale) for group in gone]
    for item in should:
        if not billed:
            lines.append(item)
        elif (group := groups.get(_key(item))) is not None:
            lines += _difference(item, group, currency, locale)
        elif item.amount_minor:
            lines.append(_correction(item, billed))
    if credited_minor:
        lines = _bounded(lines, billed_minor(billed) - credited_minor, currency, locale)
    return _numbered(lines, [*(one.line for one in billed), *taken])


def billed_minor(billed: Iterable[BilledSlice]) -> int:
    """Return what has been billed, in minor units, as rated."""
    return sum(one.line.amount_minor for one in billed)


def _key(item: BilledItem) -> SliceKey:
    return item.period.start_at, item.period.end_at, item.price_hash


def _totals(group: Sequence[BilledSlice]) -> tuple[Decimal, Decimal, int]:
    """Return quantity, exact amount and rounded amount billed of a slice."""
    with exact_context():
        quantity = sum((one.line.quantity for one in group), ZERO)
        exact = sum((one.line.amount_exact for one in group), ZERO)
    return quantity, exact, billed_minor(group)


def _difference(item: BilledItem, group: Sequence[BilledSlice], currency: str, locale: str | None) -> list[BilledItem]:
    quantity, exact, minor = _totals(group)
    last = group[-1]
    phrase = _money_phrase("billed", minor, currency)
    with exact_context():
        line = replace(
            item,
            quantity=item.quantity - quantity,
            amount_exact=exact_amount(item.amount_exact - exact),
            amount_minor=item.amount_minor - minor,
            unit_amount=None,
            tax=last.line.tax,
            kind=CORRECTION,
            corrects=last.line_id,
            corrects_invoice=last.invoice_id,
            explanation=f"{item.explanation}, {explain((phrase,), locale)}",
            phrases=(*item.phrases, phrase),
        )
    return [line] if line.amount_minor != 0 else []


def _reversal(group: Sequence[BilledSlice], currency: str, locale: str | None) -> BilledItem:
    quantity, exact, minor = _totals(group)
    last = group[-1]
    phrase = _money_phrase("reversal", minor, currency)
    return replace(
        last.line,
        quantity=-quantity if quantity else ZERO,
        amount_exact=-exact if exact else ZERO,
        amount_minor=-minor,
        unit_amount=None,
        kind=REVERSAL,
        corrects=last.line_id,
        corrects_invoice=last.invoice_id,
        explanation=explain((phrase,), locale),
        phrases=(phrase,),
    )


def _correction(item: BilledItem, billed: Sequence[BilledSlice]) -> BilledItem:
    """Return the new slice, naming the line that it stands for: of those billed the one that it overlaps most."""
    replaced = max(billed, key=lambda one: _overlap_seconds(one.line.period, item.period))
    return replace(
        item,
        tax=replaced.line.tax,
        kind=CORRECTION,
        corrects=replaced.line_id,
        corrects_invoice=replaced.invoice_id,
    )


def _bounded(lines: Sequence[BilledItem], left_minor: int, currency: str, locale: str | None) -> list[BilledItem]:
    """Return the lines, their credits lowered so that all together take back no more than `left_minor`.

    Where nothing is left there are none: lines that add up to nothing say nothing to the customer.
    """
    if left_minor <= 0 and sum(line.amount_minor for line in lines) <= 0:
        return []
    excess = -sum(line.amount_minor for line in lines) - max(left_minor, 0)
    found = []
    for line in lines:
        spared = min(excess, -line.amount_minor) if line.amount_minor < 0 else 0
        if spared <= 0:
            found.append(line)
            continue
        excess -= spared
        amount_minor = line.amount_minor + spared
        phrase = _money_phrase("credited", spared, currency)
        with exact_context():
            exact = exact_amount(line.amount_exact + from_minor(spared, currency))
        found.append(
            replace(
                line,
                amount_minor=amount_minor,
                amount_exact=exact,
                explanation=f"{line.explanation}, {explain((phrase,), locale)}",
                phrases=(*line.phrases, phrase),
            )
        )
    return [line for line in found if line.amount_minor]


def _overlap_seconds(one: Period, other: Period) -> int:
    common = one.clip(other)
    return 0 if common is None else common.seconds()


def _money_phrase(key: str, minor: int, currency: str) -> Phrase:
    return settled((key, from_minor(minor, currency)), exponent_of(currency))


def _numbered(lines: Iterable[BilledItem], before: Iterable[BilledItem]) -> tuple[BilledItem, ...]:
    last: dict[tuple[str, datetime], int] = {}
    for item in before:
        key = (item.subscription_item, item.period.start_at)
        last[key] = max(last.get(key, 0), item.sequence)
    numbered = []
    for item in lines:
        key = (item.subscription_item, item.period.start_at)
        last[key] = last.get(key, 0) + 1
        numbered.append(replace(item, sequence=last[key]))
    return tuple(numbered)


def changed_from(before: SubscriptionItem, after: SubscriptionItem) -> date | None:
    """Return the first local date from which the two may cost something else, or None where they cannot."""
    dates = {key[0] for key in set(_versions(before)) ^ set(_versions(after))}
    if before.service_end_on != after.service_end_on:
        dates |= {on for on in (before.service_end_on, after.service_end_on) if on is not None}
    if _rest(before) != _rest(after):
        dates.add(min(before.service_start_on, after.service_start_on))
    return min(dates, default=None)


def _versions(item: SubscriptionItem) -> Iterator[tuple[date, object]]:
    for version in item.prices:
        yield version.effective_from, version.hash
    for one in item.terms:
        yield one.effective_from, (one.quantity, one.own_unit_amount, one.discount_percent)


def _rest(item: SubscriptionItem) -> SubscriptionItem:
    """Return what has no date of its own: start, trial, pauses, anchor and the like."""
    return structs.replace(item, prices=(), terms=(), service_end_on=None)
