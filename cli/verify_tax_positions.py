"""Recomputes what was taxed of each invoice, its corrections and credit notes included.

Place     documents -> [this] -> compared with invoicing.tax_position.
Rule      what an invoice and all that corrects it come to is taxed as one: round(rate x sum), by group. So the tax of a
          correction is round(tax(total)) - round(tax(billed)).
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg

from fakturo.cli.verify_documents import Document, Group, tax_of
from fakturo.cli.verify_result import Verification

Position = tuple[str, Group]
"""An invoice and one of its tax groups."""


@dataclass(slots=True)
class _Taxed:
    """What was taxed of each position (net, tax); which are not rounded as one sum, which are corrected."""

    sums: dict[Position, tuple[int, int]] = field(default_factory=lambda: defaultdict(lambda: (0, 0)))
    singly: set[Position] = field(default_factory=set)
    corrected: set[Position] = field(default_factory=set)

    def add(self, position: Position, taxable_minor: int, tax_minor: int) -> None:
        """Add what a document taxed of it."""
        taxable, tax = self.sums[position]
        self.sums[position] = taxable + taxable_minor, tax + tax_minor


async def verify_tax_positions(
    connection: asyncpg.Connection,
    documents: Sequence[Document],
    roundings: Mapping[str, str],
    result: Verification,
) -> None:
    """Compare what was taxed of each invoice, and the tax where corrections are rounded with what they correct."""
    taxed = _Taxed()
    for document in documents:
        if not document.is_void:
            _add(document, taxed, by_line=roundings[document.seller] == "line")
    gone = {document.content.invoice_id for document in documents if document.is_void}
    kept = {
        (row["invoice_id"], (row["category"], row["rate_percent"], row["country"])): (
            row["taxable_minor"],
            row["tax_minor"],
        )
        for row in await connection.fetch("SELECT * FROM invoicing.tax_position")
    }
    positions = {position for position in taxed.sums.keys() | kept.keys() if position[0] not in gone}
    for position in sorted(positions):
        invoice_id, (category, rate, country) = position
        name = f"{category} {rate} % {country} of {invoice_id}".replace("  ", " ")
        taxable, tax = taxed.sums[position]
        result.compare("invoices", f"taxed in all, {name}", (taxable, tax), kept.get(position, (0, 0)))
        if position in taxed.corrected - taxed.singly:
            result.compare("invoices", f"tax of all documents, {name}", tax_of(taxable, rate), tax)


def _add(document: Document, taxed: _Taxed, *, by_line: bool) -> None:
    content = document.content
    sums = {(tax.category, tax.rate_percent, tax.country or ""): tax for tax in content.taxes}
    for group, lines in document.groups.items():
        targets: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for line in lines:
            target = document.corrects(line) or content.invoice_id
            targets[target][0] += document.taxable_minor(line)
            targets[target][1] += line.tax_minor or 0
        for target, (taxable, tax) in targets.items():
            if document.asked:
                taxable = sums[group].taxable_minor  # with the discounts that it gives back
            taxed.add((target, group), taxable, tax)
            if target != content.invoice_id:
                taxed.corrected.add((target, group))
        if by_line or any(line.tax.prices_include_tax for line in lines):
            taxed.singly |= {(target, group) for target in targets}
