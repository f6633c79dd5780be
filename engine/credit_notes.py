"""Credit notes: an invoice taken back in full, or some of its lines in part, with the tax mirrored.

Place     invoicing agent (requests) -> [this] -> `fakturo.credit_note.issued.v1`, the ledger.
Full      every line by what is left of it, and the discounts given back; so invoice and credit note are each other's
          negative to the cent where nothing was credited before.
Part      each line by the net amount that was asked for, after discounts; never more than is left of the line or of
          its tax group. What its discounts took of that part is given back beside it: of 90.00 that a coupon left of
          100.00, 45.00 are 50.00 less 5.00. Shares are `money.allocate`d and the last part gets the rest, so all
          credit notes of an invoice add up to it, line by line and discount by discount.
Tax       of a group: what was taxed so far less the tax of what is left, so many parts carry the tax of one whole.
          Where the tax is not that of the group as a whole (rounded by line, prices that include it) it falls in
          proportion, rounded once, half away from zero.
Source    EN 16931 (BT-3 type 381, BG-3 preceding invoice); reference/ledger.md J7; Kill Bill's item adjustments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256

from msgspec import structs

from fakturo.engine.money import allocate, exact_context, from_minor, rounded
from fakturo.engine.tax.groups import Key, tax_minor
from fakturo.engine.tax.positions import TaxPosition, key_of
from fakturo.schemas.events.invoices import Invoice, InvoiceDiscount, InvoiceLine, InvoiceTax

REQUESTED = "crn_"
"""What ids of credit notes begin with that somebody asked for."""


class NothingLeft(ValueError):
    """Less is left of the invoice, of a line or of its tax group than was asked for; the text says how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What is left of an invoice to credit: each line before discounts, and what has been taxed of each group so far.

    `shares` are what is left of each discount's share of a line, in the order of the invoice's discounts.
    """

    lines: Mapping[str, int]
    groups: Mapping[Key, TaxPosition]
    shares: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """What of a line is credited: before discounts, and each discount's share of it (below 0, or 0)."""

    amount_minor: int
    shares: tuple[int, ...] = ()

    @property
    def net_minor(self) -> int:
        """Return what is credited after discounts."""
        return self.amount_minor + sum(self.shares)


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
    return REQUESTED + _digest(invoice_id, source, request_id)


def is_requested(note: Invoice) -> bool:
    """Return whether somebody asked for the credit note; else it is a bill below 0, of corrections."""
    return note.invoice_id.startswith(REQUESTED)


def credit_note(invoice: Invoice, left: Left, asked: Mapping[str, int] | None, head: NoteHead) -> Invoice:
    """Return the credit note over `asked` (net minor units above 0 by line), or over all that is left where None.

    Raises:
        NothingLeft: more is asked for than is left, or nothing is.
    """
    parts = parts_of(left, asked)
    sums = _sums(invoice, left, parts)
    if not any(sums.values()):
        raise NothingLeft(f"nothing is left to credit of invoice {invoice.number}")
    taxes = {key: _tax_of(left.groups[key], key, amount) for key, amount in sums.items() if amount}
    credited = [line for line in invoice.lines if line.line_id in parts]
    lines = [_line(line, parts[line.line_id].amount_minor, invoice, head) for line in credited]
    net_minor, all_tax_minor = -sum(sums.values()), -sum(taxes.values())
    return structs.replace(
        invoice,
        invoice_id=head.note_id,
        number=head.number,
        issue_date=head.issued_on,
        due_date=head.issued_on,
        payment_terms="credited",
        lines=tuple(_with_tax(lines, [parts[line.line_id].net_minor for line in credited], taxes)),
        discounts=_discounts(invoice, parts),
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


def parts_of(left: Left, asked: Mapping[str, int] | None) -> dict[str, Part]:
    """Return what of each line is credited, by line; lines of which nothing is are left out.

    Raises:
        NothingLeft: a line is not this invoice's, or less is left of it.
    """
    whole = {line_id: _whole(left, line_id) for line_id, amount in left.lines.items() if amount > 0}
    if asked is None:
        return whole
    for line_id, amount in asked.items():
        if line_id not in left.lines:
            raise NothingLeft(f"line {line_id} is none of this invoice's that can be credited")
        rest = whole[line_id].net_minor if line_id in whole else left.lines[line_id]
        if amount > rest:
            raise NothingLeft(f"{amount} is more than the {rest} left of line {line_id}, in minor units")
    if all(part.net_minor == asked.get(line_id, 0) for line_id, part in whole.items()):
        return whole  # the last part: what a discount made free goes with it
    return {line_id: _part(whole[line_id], amount) for line_id, amount in asked.items()}


def is_all(left: Left, parts: Mapping[str, Part]) -> bool:
    """Return whether nothing is left of any line once `parts` are credited."""
    return all(
        amount <= 0 or (line_id in parts and parts[line_id].amount_minor == amount)
        for line_id, amount in left.lines.items()
    )


def net_left(left: Left) -> int:
    """Return what is left of all lines, after discounts."""
    return sum(_whole(left, line_id).net_minor for line_id, amount in left.lines.items() if amount > 0)


def _whole(left: Left, line_id: str) -> Part:
    """Return all that is left of a line; a later correction may have left less of it than its discounts took."""
    amount, shares = left.lines[line_id], left.shares.get(line_id, ())
    if amount + sum(shares) >= 0:
        return Part(amount, shares)
    return Part(amount, tuple(-part for part in allocate(amount, [max(-share, 0) for share in shares])))


def _part(whole: Part, net_minor: int) -> Part:
    rest = whole.net_minor - net_minor
    if not rest:
        return whole
    shares = tuple(allocate(share, [net_minor, rest])[0] for share in whole.shares)
    return Part(net_minor - sum(shares), shares)


def _sums(invoice: Invoice, left: Left, parts: Mapping[str, Part]) -> dict[Key, int]:
    """Return the net amount credited of each tax group, after discounts.

    Raises:
        NothingLeft: a group has less left than that.
    """
    sums: dict[Key, int] = {}
    for line in invoice.lines:
        if line.line_id in parts:
            key = key_of(line.tax)
            sums[key] = sums.get(key, 0) + parts[line.line_id].net_minor
    for key, amount in sums.items():
        taxable = left.groups[key].taxable_minor if key in left.groups else 0
        if amount > taxable:
            raise NothingLeft(
                f"{amount} is more than the {taxable} left of what is taxed at {key[1]} % ({key[0]}), in minor units"
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


def _line(line: InvoiceLine, amount_minor: int, invoice: Invoice, head: NoteHead) -> InvoiceLine:
    whole = amount_minor == line.amount_minor
    return structs.replace(
        line,
        line_id="lin_" + _digest(head.note_id, line.line_id),
        quantity=-line.quantity if whole else Decimal(-1),
        unit=line.unit if whole else None,
        unit_amount=line.unit_amount if whole else None,
        amount_exact=-line.amount_exact if whole else -from_minor(amount_minor, invoice.currency),
        amount_minor=-amount_minor,
        explanation=head.reason or line.explanation,
        phrases=() if head.reason else line.phrases,
        corrects=line.line_id,
        corrects_invoice=invoice.invoice_id,
        kind="reversal" if whole else "correction",
    )


def _with_tax(lines: Sequence[InvoiceLine], nets: Sequence[int], taxes: Mapping[Key, int]) -> list[InvoiceLine]:
    """Return the lines, each with its part of its group's tax, by what is credited of it after discounts."""
    found = list(lines)
    for key, tax in taxes.items():
        members = [index for index, line in enumerate(found) if key_of(line.tax) == key]
        shares = allocate(tax, [nets[index] for index in members])
        for index, share in zip(members, shares, strict=True):
            found[index] = structs.replace(found[index], tax_minor=-share)
    return found


def _discounts(invoice: Invoice, parts: Mapping[str, Part]) -> tuple[InvoiceDiscount, ...]:
    """Return what is given back of each of the invoice's discounts."""
    given_back = [0] * len(invoice.discounts)
    for part in parts.values():
        for place, share in enumerate(part.shares):
            given_back[place] -= share
    return tuple(
        structs.replace(one, amount_minor=amount)
        for one, amount in zip(invoice.discounts, given_back, strict=True)
        if amount
    )


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
