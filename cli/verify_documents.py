"""Recomputes the sums of every document: lines, discounts, tax by group, total, amount due.

Place     invoicing.invoice and its lines -> [this] -> differences. The lines' own amounts: verify_invoices.
Tax       of a group: its taxable amount times its rate, rounded once, or by line where the seller has it so. Of prices
          that include tax: net and tax are the gross that was rated. Of corrections: verify_tax_positions.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

import asyncpg
import msgspec

from fakturo.cli.verify_published import Contracts
from fakturo.cli.verify_result import Verification
from fakturo.schemas.events.invoices import Invoice, InvoiceLine, InvoiceTax, LineTax

Group = tuple[str, Decimal, str]
"""Category, rate in percent and country of tax."""

_NOT_CHARGED = ("zero", "exempt", "exempt_customer", "reverse_charge", "intra_community", "export", "export_goods")
_NEEDS_NOTE = ("exempt", "exempt_customer", "reverse_charge", "intra_community", "export", "export_goods")
_BETWEEN_BUSINESSES = ("reverse_charge", "intra_community")


@dataclass(frozen=True)
class Document:
    """An invoice or credit note with the rows of its book; `asked` is a credit note that somebody asked for."""

    row: asyncpg.Record
    lines: Mapping[str, asyncpg.Record]
    content: Invoice

    @property
    def name(self) -> str:
        """Return what it is called in a difference."""
        return f"{self.content.invoice_id} ({self.content.account})"

    @property
    def seller(self) -> str:
        """Return the code of its seller; that of the settings has none."""
        return self.content.seller_code or ""

    @property
    def is_void(self) -> bool:
        """Return whether it was taken back."""
        return bool(self.row["status"] == "void")

    @property
    def asked(self) -> bool:
        """Return whether it is a credit note that was asked for: its lines bill nothing."""
        return bool(self.row["requested"])

    @cached_property
    def groups(self) -> dict[Group, list[InvoiceLine]]:
        """Return the lines of each tax group."""
        groups: dict[Group, list[InvoiceLine]] = defaultdict(list)
        for line in self.content.lines:
            groups[group_of(line.tax)].append(line)
        return groups

    def taxable_minor(self, line: InvoiceLine) -> int:
        """Return what of a line is taxed: its amount and its share of the discounts."""
        return line.amount_minor + (
            sum(self.lines[line.line_id]["discount_shares"]) if line.line_id in self.lines else 0
        )

    def corrects(self, line: InvoiceLine) -> str | None:
        """Return the invoice that a line corrects, None for one that bills something itself."""
        found: str | None = self.lines[line.line_id]["corrects_invoice"] if line.line_id in self.lines else None
        return found


def group_of(tax: LineTax | InvoiceTax) -> Group:
    """Return the group that a line or a sum of tax belongs to."""
    return tax.category, tax.rate_percent, tax.country or ""


async def read_documents(connection: asyncpg.Connection) -> list[Document]:
    """Return every document with its lines, by id."""
    lines: dict[str, dict[str, asyncpg.Record]] = defaultdict(dict)
    for row in await connection.fetch(
        "SELECT line_id, invoice_id, amount_minor, discount_shares, rated_minor, credited_minor, corrects_invoice "
        "FROM invoicing.invoice_line"
    ):
        lines[row["invoice_id"]][row["line_id"]] = row
    query = "SELECT i.*, content::text AS document FROM invoicing.invoice i ORDER BY invoice_id"
    decode = msgspec.json.Decoder(Invoice).decode
    return [Document(row, lines[row["invoice_id"]], decode(row["document"])) for row in await connection.fetch(query)]


def verify_documents(documents: Sequence[Document], roundings: Mapping[str, str], result: Verification) -> None:
    """Compare the sums and the tax of each document; `roundings` say by seller whether tax is rounded by line."""
    for document in documents:
        _verify_sums(document, result)
        for tax in document.content.taxes:
            _verify_group(document, tax, result)
        for group, lines in document.groups.items():
            for figure, expected, found in _taxes(document, lines, by_line=roundings[document.seller] == "line"):
                result.compare("invoices", f"{figure} at {group[1]} % of {document.name}", expected, found)


def _verify_sums(document: Document, result: Verification) -> None:
    content, row = document.content, document.row
    subtotal = sum(line["amount_minor"] for line in document.lines.values())
    subtotal += sum(one.amount_minor for one in content.discounts)
    tax = sum(one.tax_minor for one in content.taxes)
    applied = sum(one.amount_minor for one in content.credits)
    due = subtotal + tax - applied
    figures = {
        "lines": ([(one.line_id, one.amount_minor) for one in content.lines], _kept_lines(document)),
        "subtotal": (subtotal, content.subtotal_minor),
        "tax": (tax, content.tax_minor),
        "total": (subtotal + tax, content.total_minor),
        "credits applied": (applied, content.credits_applied_minor),
        "amount due": (due, content.amount_due_minor),
        "taxable amount": (subtotal, sum(one.taxable_minor for one in content.taxes)),
    }
    for figure, (expected, found) in figures.items():
        result.compare("invoices", f"{figure} of {document.name}", expected, found)
    if not document.asked:
        shares = [
            sum(of_one) for of_one in zip(*(one["discount_shares"] for one in document.lines.values()), strict=True)
        ]
        discounts = [one.amount_minor for one in content.discounts]
        result.compare("invoices", f"shares of the discounts of {document.name}", discounts, shares)
    for figure in ("subtotal", "tax", "total"):
        kept = row[f"{figure}_minor"]
        result.compare("invoices", f"{figure} kept of {document.name}", figures[figure][0], kept)


def _kept_lines(document: Document) -> list[tuple[str, int]]:
    """Return the lines as the book has them, in the order of the document; others behind."""
    ids = [line.line_id for line in document.content.lines]
    ids += sorted(document.lines.keys() - set(ids))
    return [(name, document.lines[name]["amount_minor"]) for name in ids if name in document.lines]


def _verify_group(document: Document, tax: InvoiceTax, result: Verification) -> None:
    """Compare a group with its lines; what is not charged has rate 0, and says why."""
    lines = document.groups.get(group_of(tax), [])
    name = f"at {tax.rate_percent} % of {document.name}"
    result.compare("invoices", f"tax of the lines {name}", sum(line.tax_minor or 0 for line in lines), tax.tax_minor)
    if not document.asked:
        taxable = sum(document.taxable_minor(line) for line in lines)
        result.compare("invoices", f"taxable {name}", taxable, tax.taxable_minor)
    if tax.category in _NOT_CHARGED:
        result.compare("invoices", f"rate of {tax.category} {name}", 0, tax.rate_percent)
    if tax.category in _NEEDS_NOTE:
        result.compare("invoices", f"note on {tax.category} {name}", True, bool(tax.note))
    if tax.category in _BETWEEN_BUSINESSES:
        customer, seller = document.content.customer, document.content.seller
        is_abroad = bool(customer.vat_id) and customer.country != seller.country
        result.compare("invoices", f"VAT id from abroad for {tax.category} {name}", True, is_abroad)


def _taxes(document: Document, lines: Sequence[InvoiceLine], *, by_line: bool) -> Iterator[tuple[str, int, int]]:
    """Yield (figure, expected, found) of the lines of a group, as far as the document alone says what they are."""
    own = [line for line in lines if document.corrects(line) is None]
    corrections = [line for line in lines if document.corrects(line) is not None]
    gross = [line for line in lines if _is_gross(line)]
    if document.asked or (document.content.discounts and gross):
        return  # what is in a price shrinks with the discounts
    if corrections and all(_is_gross(line) for line in corrections):
        yield "tax in corrections of prices", _inside(document, corrections), _found(corrections)
    if own:
        plain = [line for line in own if not _is_gross(line)]
        taxable, rate = [document.taxable_minor(line) for line in plain], own[0].tax.rate_percent
        on_top = sum(tax_of(one, rate) for one in taxable) if by_line else tax_of(sum(taxable), rate)
        yield "tax", on_top + _inside(document, own), _found(own)


def _is_gross(line: InvoiceLine) -> bool:
    return line.tax.prices_include_tax and line.kind != "true_up"


def _inside(document: Document, lines: Sequence[InvoiceLine]) -> int:
    """Return what is in gross prices beyond the net that the lines show: net and tax are what was rated."""
    known = [line for line in lines if _is_gross(line) and line.line_id in document.lines]
    return sum(document.lines[line.line_id]["rated_minor"] - line.amount_minor for line in known)


def _found(lines: Sequence[InvoiceLine]) -> int:
    return sum(line.tax_minor or 0 for line in lines)


def roundings_of(documents: Sequence[Document], contracts: Contracts) -> dict[str, str]:
    """Return by what each seller rounds tax; of one that no subscription describes, what its documents agree with."""
    roundings = {one.seller.code: one.seller.tax_rounding for one in contracts.subscriptions if one.seller}
    for seller in {document.seller for document in documents} - roundings.keys():
        own = [document for document in documents if document.seller == seller]
        wrong = {by: sum(_misses(document, by) for document in own) for by in ("group", "line")}
        roundings[seller] = min(wrong, key=lambda by: wrong[by])
    return roundings


def _misses(document: Document, rounding: str) -> int:
    taxes = (one for lines in document.groups.values() for one in _taxes(document, lines, by_line=rounding == "line"))
    return sum(expected != found for _, expected, found in taxes)


def tax_of(amount_minor: int, rate_percent: Decimal) -> int:
    """Return the tax on an amount in minor units, half away from zero."""
    numerator, denominator = rate_percent.as_integer_ratio()
    hundredth = 100 * denominator
    whole = (2 * abs(amount_minor * numerator) + hundredth) // (2 * hundredth)
    return whole if amount_minor >= 0 else -whole
