"""Tax of corrections: what lines change of the tax of the invoices that they correct.

Place     lines of a document + what has been taxed of the invoices that they correct -> [this] -> its tax groups.
Rule      the tax of the lines that correct invoice X is tax(what was taxed of X and these) - tax(what was taxed of X),
          by group, so that an invoice and all its corrections together carry the tax of one invoice. What rounding
          makes of that goes to the first of those lines. Rounded by line it is the same of the line that is corrected:
          tax(all of it) - tax(what was taxed of it).
Included  of prices that include tax: the tax inside all that is billed of X less the tax inside what was before;
          their net is what is left of the gross difference, so both together are that difference to the cent.
Source    PRICING.md, modifier 9.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from fakturo.engine.tax.groups import (
    BY_LINE,
    Key,
    TaxedLine,
    Taxes,
    included_minor,
    included_parts,
    net_amounts,
    tax_lines,
    tax_minor,
)
from fakturo.schemas.events.invoices import LineTax


@dataclass(frozen=True, slots=True)
class TaxPosition:
    """What has been taxed of one group of an invoice so far: net and tax, in minor units."""

    taxable_minor: int = 0
    tax_minor: int = 0


Positions = Mapping[tuple[str, Key], TaxPosition]
"""(invoice id, group) -> what has been taxed of it, later corrections included."""

NOTHING = TaxPosition()


def key_of(tax: LineTax) -> Key:
    """Return the group that a line with `tax` belongs to."""
    return tax.category, tax.rate_percent, tax.country or ""


Taxed = Sequence[TaxPosition | None]
"""For each line of a document what has been taxed of the line that it corrects (None: it corrects none)."""


def correction_nets(
    lines: Sequence[tuple[LineTax, int]], corrected: str, positions: Positions, rounding: str, taxed: Taxed = ()
) -> tuple[int, ...]:
    """Return the net of each (tax, gross amount) of lines that correct the invoice `corrected`."""
    if rounding == BY_LINE:
        return _nets_by_line(lines, taxed)
    nets = [amount for _, amount in lines]
    groups: dict[Key, list[int]] = {}
    for index, (tax, _) in enumerate(lines):
        groups.setdefault(key_of(tax), []).append(index)
    for key, indexes in groups.items():
        before = positions.get((corrected, key), NOTHING)
        gross = sum(nets[index] for index in indexes)
        included = included_minor(before.taxable_minor + before.tax_minor + gross, key[1]) - before.tax_minor
        parts = included_parts(included, [nets[index] for index in indexes], key[1])
        for index, part in zip(indexes, parts, strict=True):
            nets[index] -= part
    return tuple(nets)


def _nets_by_line(lines: Sequence[tuple[LineTax, int]], taxed: Taxed) -> tuple[int, ...]:
    nets = list(net_amounts(lines, BY_LINE))
    for index, before in enumerate(taxed):
        tax, gross = lines[index]
        if before is not None and tax.prices_include_tax:
            included = included_minor(before.taxable_minor + before.tax_minor + gross, tax.rate_percent)
            nets[index] = gross - (included - before.tax_minor)
    return tuple(nets)


def correction_taxes(
    lines: Sequence[TaxedLine],
    corrects: Sequence[str | None],
    positions: Positions,
    rounding: str,
    taxed: Taxed = (),
) -> Taxes:
    """Return the tax of a document's lines, `corrects` naming the invoice that each corrects, or None."""
    plain = tax_lines(lines, rounding)
    if not any(corrects):
        return plain
    if rounding == BY_LINE:
        return _summed(plain, lines, _by_line(plain, lines, taxed))
    by_line = [0] * len(lines)
    for corrected in dict.fromkeys(corrects):
        members = [index for index, found in enumerate(corrects) if found == corrected]
        part = tax_lines([lines[index] for index in members], rounding)
        for index, tax in zip(members, part.by_line, strict=True):
            by_line[index] = tax
        if corrected is not None:
            _adjust(by_line, members, lines, corrected, positions)
    return _summed(plain, lines, by_line)


def _by_line(plain: Taxes, lines: Sequence[TaxedLine], taxed: Taxed) -> list[int]:
    """Return the tax of each line; of one that corrects another what it changes of that one's tax."""
    by_line = list(plain.by_line)
    for index, before in enumerate(taxed):
        line = lines[index]
        if before is not None and line.gross_minor is None:
            total = tax_minor(before.taxable_minor + line.taxable_minor, line.tax.rate_percent)
            by_line[index] = total - before.tax_minor
    return by_line


def _summed(plain: Taxes, lines: Sequence[TaxedLine], by_line: Sequence[int]) -> Taxes:
    """Return the groups of `plain` with the tax of the lines `by_line`."""
    sums: dict[Key, int] = {}
    for line, tax in zip(lines, by_line, strict=True):
        key = key_of(line.tax)
        sums[key] = sums.get(key, 0) + tax
    groups = tuple(
        structs.replace(group, tax_minor=sums[group.category, group.rate_percent, group.country or ""])
        for group in plain.groups
    )
    return Taxes(groups=groups, by_line=tuple(by_line))


def _adjust(
    by_line: list[int], members: Sequence[int], lines: Sequence[TaxedLine], corrected: str, positions: Positions
) -> None:
    """Make the tax of each group of lines that correct one invoice what it changes of that invoice's tax."""
    groups: dict[Key, list[int]] = {}
    for index in members:
        if lines[index].gross_minor is None:
            groups.setdefault(key_of(lines[index].tax), []).append(index)
    for key, indexes in groups.items():
        before = positions.get((corrected, key), NOTHING)
        taxable = before.taxable_minor + sum(lines[index].taxable_minor for index in indexes)
        wanted = tax_minor(taxable, key[1]) - before.tax_minor
        by_line[indexes[0]] += wanted - sum(by_line[index] for index in indexes)
