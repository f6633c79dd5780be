"""Corrections: what is still to bill of an item's period, given what should be on its bills and what is.

Place     rated slices as they now stand + lines billed before -> [this] -> the lines of the next invoice.
Everything that is billed goes through it: first bills, partial bills at a threshold, revised final statements, licensed
items that changed after they were billed. So all bills of a period sum, to the cent, to one bill made at the end.
Rules     slices match by start, end and price hash. Of one that matches: the difference of the rounded amounts, no line
          where that is 0; of one that should no longer be: a reversal; of a new one where the period was billed before:
          a correction; where it was not: the charge itself.
Names     a line names the charge that it corrects, on the invoice that charged it, also where corrections of it came
          between: so the tax of that invoice is held against one invoice, and what is left of the charge is known.
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
from fakturo.engine.tax.positions import NOTHING, TaxPosition
from fakturo.schemas.events.contracts import SubscriptionItem

CHARGE = "charge"
CORRECTION = "correction"
REVERSAL = "reversal"

SliceKey = tuple[datetime, datetime, str]
"""Start, end and price hash: a slice of an item's period."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledSlice:
    """One line that was billed of an item's period: `line` as it went on invoice `invoice_id`, with id `line_id`.

    `taxed` is what was taxed of it: its net amount after discounts, and its tax.
    """

    line: BilledItem
    line_id: str
    invoice_id: str
    taxed: TaxPosition = NOTHING

    @property
    def charge(self) -> tuple[str, str]:
        """Return line and invoice of the charge: this one, or what this one corrects."""
        if self.line.corrects is None or self.line.corrects_invoice is None:
            return self.line_id, self.invoice_id
        return self.line.corrects, self.line.corrects_invoice


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


def _taxed(group: Sequence[BilledSlice]) -> TaxPosition:
    """Return what has been taxed of a slice."""
    return TaxPosition(
        sum(one.taxed.taxable_minor for one in group),
        sum(one.taxed.tax_minor for one in group),
    )


def _difference(item: BilledItem, group: Sequence[BilledSlice], currency: str, locale: str | None) -> list[BilledItem]:
    quantity, exact, minor = _totals(group)
    corrects, corrects_invoice = group[0].charge
    phrase = _money_phrase("billed", minor, currency)
    with exact_context():
        line = replace(
            item,
            quantity=item.quantity - quantity,
            amount_exact=exact_amount(item.amount_exact - exact),
            amount_minor=item.amount_minor - minor,
            unit_amount=None,
            tax=group[0].line.tax,
            taxed=_taxed(group),
            kind=CORRECTION,
            corrects=corrects,
            corrects_invoice=corrects_invoice,
            explanation=f"{item.explanation}, {explain((phrase,), locale)}",
            phrases=(*item.phrases, phrase),
        )
    return [line] if line.amount_minor != 0 else []


def _reversal(group: Sequence[BilledSlice], currency: str, locale: str | None) -> BilledItem:
    quantity, exact, minor = _totals(group)
    corrects, corrects_invoice = group[0].charge
    phrase = _money_phrase("reversal", minor, currency)
    return replace(
        group[-1].line,
        quantity=-quantity if quantity else ZERO,
        amount_exact=-exact if exact else ZERO,
        amount_minor=-minor,
        unit_amount=None,
        tax=group[0].line.tax,
        taxed=_taxed(group),
        kind=REVERSAL,
        corrects=corrects,
        corrects_invoice=corrects_invoice,
        explanation=explain((phrase,), locale),
        phrases=(phrase,),
    )


def _correction(item: BilledItem, billed: Sequence[BilledSlice]) -> BilledItem:
    """Return the new slice, naming the line that it stands for: of those billed the one that it overlaps most."""
    replaced = max(billed, key=lambda one: _overlap_seconds(one.line.period, item.period))
    corrects, corrects_invoice = replaced.charge
    return replace(
        item,
        tax=replaced.line.tax,
        taxed=NOTHING,
        kind=CORRECTION,
        corrects=corrects,
        corrects_invoice=corrects_invoice,
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
    return structs.replace(item, prices=(), terms=(), service_end_on=None, alerts=())
