"""Credit notes: an invoice taken back in full, or some of its lines in part, with the tax mirrored.

Place     invoicing agent (requests) -> [this] -> `fakturo.credit_note.issued.v1`, the ledger.
Full      every line by what is left of it, and the discounts given back; so invoice and credit note are each other's
          negative to the cent where nothing was credited before.
Part      each line by the net amount that was asked for, after discounts; never more than is left of the line or of
          its tax group.
Tax       of a group: what was taxed so far less the tax of what is left, so many parts carry the tax of one whole.
          Where the tax is not that of the group as a whole (rounded by line, prices that include it) it falls in
          proportion, rounded once, half away from zero.
Source    EN 16931 (BT-3 type 381, BG-3 preceding invoice); reference/ledger.md J7; Kill Bill's item adjustments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256

from msgspec import structs

from fakturo.engine.money import allocate, exact_context, from_minor, rounded
from fakturo.engine.tax.groups import Key, tax_minor
from fakturo.engine.tax.positions import TaxPosition, key_of
from fakturo.schemas.events.invoices import Invoice, InvoiceDiscount, InvoiceLine, InvoiceTax


class NothingLeft(ValueError):
    """Less is left of the invoice, of a line or of its tax group than was asked for; the text says how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of an invoice to credit: net of each line, and what has been taxed of each group so far."""

    lines: Mapping[str, int]
    groups: Mapping[Key, TaxPosition]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteHead:
    """All of a credit note but its amounts."""

    note_id: str
    issued_on: date
    reason: str
    number: str | None = None
    recorded_at: datetime | None = None


def note_id_of(invoice_id: str, source: str, request_id: str) -> str:
    """Return `crn_` and 26 hexadecimal digits derived from the invoice and the identity of the request."""
    return "crn_" + _digest(invoice_id, source, request_id)


def credit_note(invoice: Invoice, left: Left, asked: Mapping[str, int] | None, head: NoteHead) -> Invoice:
    """Return the credit note over `asked` (net minor units above 0 by line), or over all that is left where None.

    Raises:
        NothingLeft: more is asked for than is left, or nothing is.
    """
    credited = _all_left(left) if asked is None else _checked(asked, left)
    sums = _sums(invoice, left, credited, full=asked is None)
    if not any(sums.values()):
        raise NothingLeft(f"nothing is left to credit of invoice {invoice.number}")
    taxes = {key: _tax_of(left.groups[key], key, amount) for key, amount in sums.items() if amount}
    lines = [
        _line(line, credited[line.line_id], invoice.currency, head)
        for line in invoice.lines
        if credited.get(line.line_id)
    ]
    net_minor, all_tax_minor = -sum(sums.values()), -sum(taxes.values())
    discounts = _discounts(invoice, net_minor - sum(line.amount_minor for line in lines))
    return structs.replace(
        invoice,
        invoice_id=head.note_id,
        number=head.number,
        issue_date=head.issued_on,
        due_date=head.issued_on,
        payment_terms="credited",
        lines=tuple(_with_tax(lines, taxes)),
        discounts=discounts,
        taxes=tuple(_group(invoice, key, sums[key], tax) for key, tax in sorted(taxes.items())),
        subtotal_minor=net_minor,
        tax_minor=all_tax_minor,
        total_minor=net_minor + all_tax_minor,
        credits_applied_minor=0,
        amount_due_minor=net_minor + all_tax_minor,
        corrects=invoice.invoice_id,
        revision=1,
        recorded_at=head.recorded_at,
        status="open",
        credits=(),
        loyalty=None,
        reissues=None,
        reason=head.reason or None,
    )


def _all_left(left: Left) -> dict[str, int]:
    return {line_id: amount for line_id, amount in left.lines.items() if amount > 0}


def _checked(asked: Mapping[str, int], left: Left) -> dict[str, int]:
    for line_id, amount in asked.items():
        if line_id not in left.lines:
            raise NothingLeft(f"line {line_id} is none of this invoice's that can be credited")
        if amount > left.lines[line_id]:
            raise NothingLeft(f"{amount} is more than the {left.lines[line_id]} left of line {line_id}, in minor units")
    return dict(asked)


def _sums(invoice: Invoice, left: Left, credited: Mapping[str, int], *, full: bool) -> dict[Key, int]:
    """Return the net amount credited of each tax group, discounts given back where the credit is full.

    Raises:
        NothingLeft: a group has less left than that.
    """
    sums: dict[Key, int] = {}
    own: dict[Key, int] = {}
    for line in invoice.lines:
        key = key_of(line.tax)
        own[key] = own.get(key, 0) + line.amount_minor
        if line.line_id in left.lines:
            sums[key] = sums.get(key, 0) + credited.get(line.line_id, 0)
    taxed = {(tax.category, tax.rate_percent, tax.country or ""): tax.taxable_minor for tax in invoice.taxes}
    for key in sums:
        if full:
            sums[key] = max(sums[key] + min(taxed.get(key, own[key]) - own[key], 0), 0)
        taxable = left.groups[key].taxable_minor if key in left.groups else 0
        if sums[key] > taxable:
            raise NothingLeft(
                f"{sums[key]} is more than the {taxable} left of what is taxed at {key[1]} % ({key[0]}), in minor units"
            )
    return sums


def _tax_of(position: TaxPosition, key: Key, amount_minor: int) -> int:
    """Return the tax that goes with `amount_minor` of a group."""
    rest = position.taxable_minor - amount_minor
    if position.tax_minor == tax_minor(position.taxable_minor, key[1]):
        return position.tax_minor - tax_minor(rest, key[1])
    with exact_context():
        part = Decimal(position.tax_minor) * amount_minor / position.taxable_minor
    return position.tax_minor if rest == 0 else int(rounded(part, 0))


def _line(line: InvoiceLine, amount_minor: int, currency: str, head: NoteHead) -> InvoiceLine:
    whole = amount_minor == line.amount_minor
    return structs.replace(
        line,
        line_id="lin_" + _digest(head.note_id, line.line_id),
        quantity=-line.quantity if whole else Decimal(-1),
        unit=line.unit if whole else None,
        unit_amount=line.unit_amount if whole else None,
        amount_exact=-line.amount_exact if whole else -from_minor(amount_minor, currency),
        amount_minor=-amount_minor,
        explanation=head.reason or line.explanation,
        phrases=() if head.reason else line.phrases,
        corrects=line.line_id,
        kind="reversal" if whole else "correction",
    )


def _with_tax(lines: Sequence[InvoiceLine], taxes: Mapping[Key, int]) -> list[InvoiceLine]:
    """Return the lines, each with its part of its group's tax, by amount."""
    found = list(lines)
    for key, tax in taxes.items():
        members = [index for index, line in enumerate(found) if key_of(line.tax) == key]
        shares = allocate(tax, [-found[index].amount_minor for index in members])
        for index, share in zip(members, shares, strict=True):
            found[index] = structs.replace(found[index], tax_minor=-share)
    return found


def _discounts(invoice: Invoice, given_back_minor: int) -> tuple[InvoiceDiscount, ...]:
    """Return the invoice's discounts given back, one by one where that is all of them."""
    if not given_back_minor:
        return ()
    if given_back_minor == -sum(discount.amount_minor for discount in invoice.discounts):
        return tuple(structs.replace(one, amount_minor=-one.amount_minor) for one in invoice.discounts)
    kind = invoice.discounts[0].kind if invoice.discounts else "coupon"
    return (InvoiceDiscount(description="Discounts", amount_minor=given_back_minor, kind=kind),)


def _group(invoice: Invoice, key: Key, amount_minor: int, tax: int) -> InvoiceTax:
    note = next((one.note for one in invoice.taxes if (one.category, one.rate_percent) == key[:2]), None)
    return InvoiceTax(
        category=key[0],
        rate_percent=key[1],
        taxable_minor=-amount_minor,
        tax_minor=-tax,
        country=key[2] or None,
        note=note,
    )


def _digest(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:26]
