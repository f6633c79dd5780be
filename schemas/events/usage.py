"""Usage: what upstream systems send, the corrections of it, the rated statement and the threshold alert."""

from decimal import Decimal
from typing import Any

import msgspec

from fakturo.schemas.envelope import Instant

USAGE_CORRECTED = "fakturo.usage.corrected.v1"
USAGE_RATED = "fakturo.usage.rated.v1"
RERATE_REQUESTED = "fakturo.usage.rerate_requested.v1"
THRESHOLD_CROSSED = "fakturo.usage.threshold_crossed.v1"


class PeriodBounds(msgspec.Struct, frozen=True, kw_only=True):
    """A half-open period [start, end) of instants."""

    start: Instant
    end: Instant


class EventIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a usage event: CloudEvents `source` and `id`."""

    source: str
    id: str


class UsageCorrected(msgspec.Struct, frozen=True, kw_only=True):
    """Replaces the event that `corrects` names by the CloudEvent `replacement`; None voids it."""

    corrects: EventIdentity
    replacement: dict[str, Any] | None


class RerateRequested(msgspec.Struct, frozen=True, kw_only=True):
    """Asks for the usage of an account in `period` to be totalled, and what was stated of it rated, again."""

    account: str
    period: PeriodBounds


class NextTier(msgspec.Struct, frozen=True, kw_only=True):
    """What the next unit costs: the tier after `up_to`, reached after `remaining` more units."""

    remaining: Decimal
    unit_amount: Decimal


class TierReached(msgspec.Struct, frozen=True, kw_only=True):
    """The tier that usage lands in: `number` of `count`, from 1; units above `after` up to `up_to` (None: no end)."""

    number: int
    count: int
    after: Decimal
    up_to: Decimal | None
    unit_amount: Decimal


class NextUnits(msgspec.Struct, frozen=True, kw_only=True):
    """What the next units cost: `amount` for each `per_units`, as long as `remaining` units last (None: no end).

    Percentage discounts are taken off; a minimum, which is charged at the end, is not looked at.
    """

    amount: Decimal
    per_units: Decimal
    remaining: Decimal | None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What the period comes to at its end, `at`, if usage goes on as it went, minimum included."""

    at: Instant
    quantity: Decimal
    amount_exact: Decimal
    amount_minor: int


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What a running statement says beside the amount so far; each is None where the price has no such thing.

    `tier` and `next_units` are those of the price that holds at `as_of`.
    """

    tier: TierReached | None
    next_units: NextUnits | None
    forecast: Forecast | None


class RatedSlice(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of a period, rated by itself: a price or plan change inside a period splits it.

    `amount_exact` carries at most 24 decimals; `amount_minor` is it rounded once, half away from zero.
    `quantities` explains a grouped meter: canonical JSON of the group's dimensions -> quantity. `phrases` is the
    explanation as data, from which engine/explanations makes the sentence in any language it knows.
    """

    period: PeriodBounds
    quantity: Decimal
    amount_exact: Decimal
    amount_minor: int
    price_hash: str
    explanation: str
    quantities: dict[str, Decimal] = {}
    phrases: tuple[Any, ...] = ()
    unit_amount: Decimal | None = None


class UsageRated(msgspec.Struct, frozen=True, kw_only=True):
    """The running statement of a metered item and period; with `final`, what invoicing bills.

    The totals are the sums of `slices`. `as_of` is the watermark, or the newest event time, that it holds. `revision`
    counts the final statements of an item and period: a later one corrects what was billed by the one before. Only
    running statements have a `next_tier` and an `outlook`; a final one has no such field.
    """

    account: str
    subscription_id: str
    subscription_item: str
    product_code: str
    meter: str
    dimensions: tuple[str, ...]
    period: PeriodBounds
    quantity: Decimal
    amount_exact: Decimal
    amount_minor: int
    currency: str
    as_of: Instant
    slices: tuple[RatedSlice, ...]
    final: bool
    next_tier: NextTier | None = None
    recorded_at: Instant | None = None
    revision: int = 1
    outlook: Outlook | msgspec.UnsetType = msgspec.UNSET


class ThresholdCrossed(msgspec.Struct, frozen=True, kw_only=True):
    """Usage of an item reached `threshold` in `period`: said once, whatever comes later.

    `kind` is `quantity`, or `amount`: then the threshold is in minor units of `currency`, net. `quantity` or
    `amount_minor`, the one of the kind, is what the statement said that was the first to reach it, as of `as_of`; it
    depends on when a statement was made, the id of the event does not.
    """

    account: str
    meter: str
    threshold: Decimal
    period: PeriodBounds
    quantity: Decimal | None = None
    amount_minor: int | None = None
    currency: str | None = None
    kind: str | None = None
    subscription_id: str | None = None
    subscription_item: str | None = None
    product_code: str | None = None
    as_of: Instant | None = None
    recorded_at: Instant | None = None


TYPES: dict[str, type[msgspec.Struct]] = {
    USAGE_CORRECTED: UsageCorrected,
    RERATE_REQUESTED: RerateRequested,
    USAGE_RATED: UsageRated,
    THRESHOLD_CROSSED: ThresholdCrossed,
}
