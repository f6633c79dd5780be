"""The tax of an invoice: by category, rate and country, rounded once a group or once a line, half away from zero.

Place     lines with their tax, net, after discounts -> [this] -> `Invoice.taxes` and each line's `tax_minor`.
Group     tax = sum of the taxable amounts x rate, rounded once; 3 x 0.33 at 20 % are 0.20. Its parts for the lines are
          by largest remainder, ties to the line before, so they add up to it.
Line      each line's tax is rounded and the group is their sum: 3 x 0.33 at 20 % are 0.21. Some sales taxes want that.
Included  of prices that include tax, tax = gross x rate / (100 + rate) by the same rounding, and net = gross - tax, so
          that nothing is lost. Discounts are net: the tax in the gross shrinks as they make the net shrink.
Mirror    the tax of the negated lines is the negated tax, line by line.
Source    EN 16931, BR-CO-14, BR-CO-17. ECJ C-484/06 (Ahold): the method is the member states'. HMRC, VATREC12030 and
          the VAT fraction (1/6 at 20 %) of VAT Notice 700.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from fakturo.schemas.events.invoices import InvoiceTax, LineTax

BY_GROUP, BY_LINE = "group", "line"

Key = tuple[str, Decimal, str]
"""Category, rate in percent, country ("" for none)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedLine:
    """A line in minor units: net before discounts, its share of them (0 or below), its gross where tax is included."""

    tax: LineTax
    net_minor: int
    discount_minor: int = 0
    gross_minor: int | None = None

    @property
    def taxable_minor(self) -> int:
        """Return what is taxed: net, after discounts."""
        return self.net_minor + self.discount_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Taxes:
    """The groups, sorted by category, rate and country, and the tax of each line in the order they were given."""

    groups: tuple[InvoiceTax, ...]
    by_line: tuple[int, ...]


def tax_minor(taxable_minor: int, rate_percent: Decimal) -> int:
    """Return the tax on `taxable_minor`, in minor units, half away from zero: 200 at 8.875 % is 17.75, so 18."""
    numerator, denominator = _ratio(rate_percent)
    return _divided(taxable_minor * numerator, denominator)


def included_minor(gross_minor: int, rate_percent: Decimal) -> int:
    """Return the tax that is in `gross_minor`, in minor units, half away from zero: 1000 at 20 % hold 167."""
    numerator, denominator = _ratio(rate_percent)
    return _divided(gross_minor * numerator, denominator + numerator)


def taxes_of(lines: Iterable[tuple[LineTax, int]], rounding: str = BY_GROUP) -> tuple[InvoiceTax, ...]:
    """Return one group for each category, rate and country of (tax, net amount in minor units), sorted by them."""
    return tax_lines([TaxedLine(tax=tax, net_minor=amount) for tax, amount in lines], rounding).groups


def tax_lines(lines: Sequence[TaxedLine], rounding: str = BY_GROUP) -> Taxes:
    """Return the tax of an invoice's lines; `rounding` is `group` or `line`."""
    by_line = [0] * len(lines)
    groups = []
    for (category, rate, country), members in sorted(_grouped([line.tax for line in lines]).items()):
        group = [lines[index] for index in members]
        if rounding == BY_LINE:
            parts = tuple(_group_tax([line], rate) for line in group)
        else:
            parts = _parts(_group_tax(group, rate), [line.taxable_minor for line in group], *_ratio(rate))
        for index, part in zip(members, parts, strict=True):
            by_line[index] = part
        groups.append(
            InvoiceTax(
                category=category,
                rate_percent=rate,
                taxable_minor=sum(line.taxable_minor for line in group),
                tax_minor=sum(parts),
                country=country or None,
            )
        )
    return Taxes(groups=tuple(groups), by_line=tuple(by_line))


def net_amounts(lines: Sequence[tuple[LineTax, int]], rounding: str = BY_GROUP) -> tuple[int, ...]:
    """Return the net of each (tax, amount in minor units); amounts of prices without tax are net as they are."""
    nets = [amount for _, amount in lines]
    including = [index for index, (tax, _) in enumerate(lines) if tax.prices_include_tax]
    for (_, rate, _), members in _grouped([lines[index][0] for index in including]).items():
        places = [including[member] for member in members]
        amounts = [nets[place] for place in places]
        if rounding == BY_LINE:
            parts = tuple(included_minor(amount, rate) for amount in amounts)
        else:
            parts = included_parts(included_minor(sum(amounts), rate), amounts, rate)
        for place, part in zip(places, parts, strict=True):
            nets[place] -= part
    return tuple(nets)


def included_parts(included: int, amounts: Sequence[int], rate_percent: Decimal) -> tuple[int, ...]:
    """Return the tax `included` in gross `amounts` in parts, one for each, by largest remainder."""
    numerator, denominator = _ratio(rate_percent)
    return _parts(included, amounts, numerator, denominator + numerator)


def _grouped(taxes: Sequence[LineTax]) -> Mapping[Key, list[int]]:
    groups: dict[Key, list[int]] = {}
    for index, tax in enumerate(taxes):
        groups.setdefault((tax.category, tax.rate_percent, tax.country or ""), []).append(index)
    return groups


def _group_tax(lines: Sequence[TaxedLine], rate: Decimal) -> int:
    """Return the tax of the lines of one group, what is in their gross amounts apart from what comes on top."""
    inside = [line for line in lines if line.gross_minor is not None]
    on_top = sum(line.taxable_minor for line in lines if line.gross_minor is None)
    return tax_minor(on_top, rate) + (_tax_inside(inside, rate) if inside else 0)


def _tax_inside(lines: Sequence[TaxedLine], rate: Decimal) -> int:
    net = sum(line.net_minor for line in lines)
    left = sum(line.taxable_minor for line in lines)
    included = sum(line.gross_minor or 0 for line in lines) - net
    if left == net:
        return included
    if net and 0 <= left * (1 if net > 0 else -1) <= abs(net):
        return _divided(included * left, net)
    return tax_minor(left, rate)


def _parts(total: int, amounts: Sequence[int], numerator: int, denominator: int) -> tuple[int, ...]:
    """Return `total` in parts, one for each amount: amount x numerator / denominator, largest remainder first.

    Amounts may have both signs, as of a charge and a reversal. Of the negated amounts the parts are the negated ones.
    """
    leading = total or sum(amounts) or next((amount for amount in amounts if amount), 0)
    if leading < 0:
        return tuple(-part for part in _parts(-total, [-amount for amount in amounts], numerator, denominator))
    exact = [divmod(amount * numerator, denominator) for amount in amounts]
    parts = [whole for whole, _ in exact]
    spare = total - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda index: (-exact[index][1], index))
    each, some = divmod(spare, len(parts)) if parts else (0, 0)
    for place, index in enumerate(by_remainder):
        parts[index] += each + (place < some)
    return tuple(parts)


def _divided(numerator: int, denominator: int) -> int:
    """Return the quotient rounded half away from zero."""
    if denominator < 0:
        numerator, denominator = -numerator, -denominator
    whole = (2 * abs(numerator) + denominator) // (2 * denominator)
    return whole if numerator >= 0 else -whole


@lru_cache(maxsize=256)
def _ratio(rate_percent: Decimal) -> tuple[int, int]:
    """Return a rate as a fraction of integers: 8.875 % is 71 / 800."""
    numerator, denominator = rate_percent.as_integer_ratio()
    return numerator, denominator * 100
