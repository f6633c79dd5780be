"""Percentage: a percentage of each event's amount and a fixed amount for each event, some of them free.

Place     the events as modifiers left them, oldest first -> [this] -> one part for each component.
Order     of each event: free or not -> `percent` of the chargeable amount -> `fixed_amount` -> the clamp to
          `minimum_per_event` and `maximum_per_event`. A free event costs nothing and is not clamped.
Free      the first `free_events`, and events while the running amount is within `free_amount`; with both set, whichever
          runs out first ends both. An event that straddles `free_amount` is charged on the part above it.
Negative  an event that takes an amount back gives back what such an event costs; nothing where only free ones came
          before it. It lowers the running amount and is none of the first `free_events`.
Zero      no events cost nothing. An event of 0 is an event: it costs its fixed amount and is clamped.
Source    PRICING.md; Lago "percentage charge model", whose order and free limits these are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from fakturo.engine.money import ZERO
from fakturo.engine.prices.model import Amounts, Setting, plain_part
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage

_HUNDRED = Decimal(100)


@dataclass(slots=True)
class _Tally:
    """What the events of one charge came to, by component."""

    free_events: int = 0
    charged_events: int = 0
    chargeable: Decimal = ZERO
    raised: Decimal = ZERO
    cut: Decimal = ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentage:
    """`percent` "1.3" means 1.3 %; amounts in the major unit; free limits of 0 are none."""

    percent: Decimal
    fixed_amount: Decimal
    free_events: int
    free_amount: Decimal
    minimum_per_event: Decimal | None
    maximum_per_event: Decimal | None

    rates_events: ClassVar[bool] = True
    amounts: ClassVar[Amounts] = Amounts.PREFERRED

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return what was free, the percentage, the fixed amounts, and what the clamps changed; none for no events."""
        tally = self._tally(usage)
        parts = []
        if tally.free_events:
            key = "free_event" if tally.free_events == 1 else "free_events"
            parts.append(plain_part((key, tally.free_events), quantity=Decimal(tally.free_events)))
        if self.percent and tally.charged_events:
            amount = tally.chargeable * self.percent / _HUNDRED
            parts.append(plain_part(("percent", self.percent, tally.chargeable), amount, tally.chargeable))
        if self.fixed_amount and tally.charged_events:
            key = "event_fee" if tally.charged_events == 1 else "event_fees"
            fees = Decimal(tally.charged_events)
            phrase = (key, fees, self.fixed_amount)
            parts.append(
                Part(phrase=phrase, quantity=fees, unit_amount=self.fixed_amount, amount=fees * self.fixed_amount)
            )
        if tally.raised:
            parts.append(plain_part(("event_minimum", self.minimum_per_event), tally.raised))
        if tally.cut:
            parts.append(plain_part(("event_maximum", self.maximum_per_event), -tally.cut))
        return tuple(parts)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: what the next event costs depends on its amount."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: it depends on the event's amount."""
        return None

    def _tally(self, usage: Usage) -> _Tally:
        tally = _Tally()
        for amount, chargeable in self._chargeable(usage):
            if chargeable is None:
                tally.free_events += 1
                continue
            sign = -1 if amount < 0 else 1
            cost = abs(chargeable) * self.percent / _HUNDRED + self.fixed_amount
            tally.charged_events += sign
            tally.chargeable += chargeable
            if self.minimum_per_event is not None and cost < self.minimum_per_event:
                tally.raised += sign * (self.minimum_per_event - cost)
            elif self.maximum_per_event is not None and cost > self.maximum_per_event:
                tally.cut += sign * (cost - self.maximum_per_event)
        return tally

    def _chargeable(self, usage: Usage) -> Iterator[tuple[Decimal, Decimal | None]]:
        """Yield each event's amount and the part of it that is charged on; None where the event is free."""
        if not self.free_events and not self.free_amount:
            yield from ((event.quantity, event.quantity) for event in usage.events or ())
            return
        seen, running = 0, ZERO
        for event in usage.events or ():
            amount, before = event.quantity, running
            running += amount
            seen += amount >= 0
            within_count = not self.free_events or seen <= self.free_events
            yield amount, self._above(before, running, within_count=within_count)

    def _above(self, before: Decimal, running: Decimal, *, within_count: bool) -> Decimal | None:
        """Return what of an event that took the running amount from `before` to `running` is charged on."""
        if not within_count:
            return running - before
        if not self.free_amount or max(before, running) <= self.free_amount:
            return None
        return max(running, self.free_amount) - max(before, self.free_amount)


def read(reader: Reader) -> Percentage:
    """Return the model that the document describes."""
    if not reader.has("percent") and not reader.has("fixed_amount"):
        reader.fault("field_missing", "percent", "is missing, and fixed_amount too")
    model = Percentage(
        percent=reader.decimal("percent", default=ZERO),
        fixed_amount=reader.decimal("fixed_amount", default=ZERO),
        free_events=int(reader.whole("free_events", default=0)),
        free_amount=reader.decimal("free_amount", default=ZERO),
        minimum_per_event=reader.optional_decimal("minimum_per_event"),
        maximum_per_event=reader.optional_decimal("maximum_per_event"),
    )
    low, high = model.minimum_per_event, model.maximum_per_event
    if low is not None and high is not None and high < low:
        reader.fault("price_clamp", "maximum_per_event", f"{high:f} is below minimum_per_event {low:f}")
    return model
