"""Points: earned on net spend, redeemed as a discount, and the revenue that waits for their redemption (IFRS 15).

Place     subtotal of an invoice -> [this] -> `LoyaltyMovement`, the discount of kind `loyalty`, and the lots' book.
Lots      each invoice that earns points makes a lot; the oldest are redeemed and expire first. Points are integers.
Deferral  points are a material right: of the net amount N the part N x V / (N + V) is deferred, where V is what the
          points are worth times the share of them that will be redeemed. It is released as they are redeemed,
          cumulatively: deferred x redeemed / expected, all of it once nothing of the lot is left.
Source    IFRS 15 B39-B43 and Example 52; ledger.md, J12.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_FLOOR, Decimal

from fakturo.engine.money import allocate, exact_context, from_minor, rounded, to_minor
from fakturo.engine.periods import add_months
from fakturo.schemas.events.contracts import LoyaltyProgramme


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """The points that one invoice earned.

    Of `points`, `claimed` were asked for (they no longer expire), `redeemed` of these came off an invoice, `expired`
    were lost; of `deferred_minor`, `released_minor` is revenue by now.
    """

    lot_id: str
    programme: str
    currency: str
    points: int
    point_amount: Decimal
    redemption_percent: Decimal
    deferred_minor: int
    claimed: int = 0
    redeemed: int = 0
    expired: int = 0
    released_minor: int = 0
    earned_on: date = date.min
    expires_on: date | None = None

    @property
    def free(self) -> int:
        """Return the points that can be claimed."""
        return self.points - self.claimed - self.expired


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemed:
    """Points of a lot: how many, what comes off the invoice for them, and what of the lot's revenue they release.

    `position` is the place of their claim among those that were given.
    """

    position: int
    lot: Lot
    points: int
    amount_minor: int
    released_minor: int


def points_earned(net_minor: int, currency: str, programme: LoyaltyProgramme) -> int:
    """Return the points for a net amount: `points_per_unit` for each whole major unit, rounded down."""
    if net_minor <= 0:
        return 0
    with exact_context():
        whole = from_minor(net_minor, currency).to_integral_value(rounding=ROUND_FLOOR)
        return int((whole * programme.points_per_unit).to_integral_value(rounding=ROUND_FLOOR))


def deferral(net_minor: int, currency: str, points: int, programme: LoyaltyProgramme) -> int:
    """Return what of a net amount belongs to its points, rounded once: 1,000.00 with points worth 40.00 -> 38.46."""
    if points <= 0 or net_minor <= 0:
        return 0
    with exact_context():
        worth = points * programme.point_amount * programme.redemption_percent / 100
        net = from_minor(net_minor, currency)
        return to_minor(net * worth / (net + worth), currency)


def expiry_of(programme: LoyaltyProgramme, earned_on: date) -> date | None:
    """Return the local date from which points no longer hold, None where they hold for ever."""
    return None if programme.expires_months is None else add_months(earned_on, programme.expires_months)


def claim(lots: Iterable[Lot], points: int) -> tuple[tuple[Lot, int], ...]:
    """Return which points of which lot are claimed, the oldest first; fewer than asked where there are not as many."""
    parts: list[tuple[Lot, int]] = []
    rest = points
    for lot in sorted(lots, key=lambda lot: (lot.earned_on, lot.lot_id)):
        part = min(rest, lot.free)
        if part > 0:
            parts.append((lot, part))
            rest -= part
    return tuple(parts)


def redeem(claims: Iterable[tuple[Lot, int]], net_minor: int, currency: str) -> tuple[Redeemed, ...]:
    """Return which claimed points come off an invoice of `net_minor`, in the order given; a lot may come again.

    Only as many as the net amount allows: those that would come to nothing, or below 0, are kept for the next one. What
    points are worth is rounded once a claim.
    """
    found: list[Redeemed] = []
    now: dict[str, Lot] = {}
    rest = net_minor
    for position, (given, claimed) in enumerate(claims):
        lot = now.get(given.lot_id, given)
        points, amount = _affordable(lot, claimed, rest, currency)
        if amount <= 0:
            continue
        released = released_by(lot, points)
        found.append(Redeemed(position=position, lot=lot, points=points, amount_minor=amount, released_minor=released))
        now[lot.lot_id] = replace(lot, redeemed=lot.redeemed + points, released_minor=lot.released_minor + released)
        rest -= amount
    return tuple(found)


def released_by(lot: Lot, points: int) -> int:
    """Return the revenue that redeeming `points` more of a lot releases: 400 of 1,000 with 80 % expected, half."""
    redeemed = lot.redeemed + points
    if lot.points - lot.expired == redeemed:
        return lot.deferred_minor - lot.released_minor
    return max(0, _cumulative(lot, redeemed) - lot.released_minor)


def released_by_expiry(lot: Lot) -> int:
    """Return the revenue that is released when all free points of a lot expire: what no claimed point waits for.

    Claimed points keep what they would have released together; with none claimed that is all the lot still holds.
    """
    if lot.claimed == lot.redeemed:
        return lot.deferred_minor - lot.released_minor
    return max(0, lot.deferred_minor - max(_cumulative(lot, lot.claimed), lot.released_minor))


def shared_back(lot: Lot, weights: tuple[int, int]) -> tuple[int, int]:
    """Return points and revenue that go with the first of two parts of the invoice that earned them.

    Shared is what is not redeemed; of 1,000 points with 38.46 waiting, a quarter takes 250 and 9.62. No more points go
    than are free, and the revenue goes with the points.
    """
    unredeemed = lot.points - lot.expired - lot.redeemed
    points = min(allocate(unredeemed, weights)[0], lot.free)
    if points <= 0:
        return 0, 0
    return points, allocate(lot.deferred_minor - lot.released_minor, [points, unredeemed - points])[0]


def _affordable(lot: Lot, claimed: int, net_minor: int, currency: str) -> tuple[int, int]:
    if net_minor <= 0 or lot.point_amount <= 0:
        return 0, 0
    with exact_context():
        most = (from_minor(net_minor, currency) / lot.point_amount).to_integral_value(rounding=ROUND_FLOOR)
        points = min(claimed, int(most))
        return points, to_minor(points * lot.point_amount, currency)


def _cumulative(lot: Lot, redeemed: int) -> int:
    with exact_context():
        expected = lot.points * lot.redemption_percent / 100
        if redeemed >= expected:
            return lot.deferred_minor
        return int(rounded(Decimal(lot.deferred_minor) * redeemed / expected, 0))
