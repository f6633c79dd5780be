"""A batch's payments and documents against the invoices they touch, in memory: what is settled, credited, taken back.

Place     handler loads it under lock -> [this] -> postings (engine) -> posting_store. Pure: no SQL, no clock.
Rules     a payment settles the invoice that it names, else the oldest due of its account and currency (then by id);
          the rest is the customer's credit. A refund or charge-back gives back one received payment: first what of it
          is still credit, then what it settled, the last invoice first; so what a payment settles, holds as credit and
          has given back always adds up to its amount.
          What a credit note or a void takes off a paid invoice is credit of the payments that had settled it, by
          descending id, so a refund of them finds it there. What was written off is owed again before it is settled.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from fakturo.consumers.ledger.rows import InvoiceRow, Paid, PaymentRow
from fakturo.engine.postings import Settlement
from fakturo.schemas.dead_letters import DeadLetterReason as Reason


class Refused(Exception):
    """A payment that the books can't take: it goes to the dead letters with `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Book:
    """The open invoices and received payments that a batch touches."""

    def __init__(self, invoices: Iterable[InvoiceRow], paid: Iterable[Paid]) -> None:
        self._invoices = {row.invoice_id: row for row in invoices}
        self._paid = {row.payment_id: row for row in paid}
        self._by_account: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in sorted(self._invoices.values(), key=lambda invoice: (invoice.due_on, invoice.invoice_id)):
            self._by_account[row.account, row.currency].append(row.invoice_id)
        self.changed_invoices: dict[str, InvoiceRow] = {}
        self.changed_paid: dict[str, Paid] = {}

    def receive(self, row: PaymentRow, invoice_id: str | None) -> tuple[list[Settlement], int]:
        """Return what the payment settles, and the rest that becomes credit (minor units).

        Raises:
            Refused: the named invoice is in another currency.
        """
        if invoice_id is not None and not self.may_settle(row, invoice_id):
            currency = self._invoices[invoice_id].currency
            self._paid.pop(row.payment_id, None)
            raise Refused(Reason.INVALID_AMOUNT, f"a payment in {row.currency} can't settle an invoice in {currency}")
        rest = row.amount_minor
        settled: list[Settlement] = []
        for invoice in self._targets(row, invoice_id):
            amount = min(rest, invoice.open_minor)
            if amount > 0:
                settled.append(self._settle(invoice, amount))
                rest -= amount
        self._put_paid(_paid_of(row, settled, rest))
        return settled, rest

    def give_back(self, row: PaymentRow) -> tuple[list[Settlement], int]:
        """Return the settlements that a refund or charge-back takes back, and how much comes out of credit.

        Raises:
            Refused: more than is left of the payment, or another currency.
        """
        paid = self._paid.get(row.payment_id)
        if paid is None:
            raise Refused(Reason.REFERENCE_NEVER_CAME, f"payment {row.payment_id!r}, which it gives back, was refused")
        if paid.currency != row.currency:
            raise Refused(Reason.INVALID_AMOUNT, f"the payment was in {paid.currency}, not in {row.currency}")
        left = paid.amount_minor - paid.returned_minor
        if row.amount_minor > left:
            raise Refused(Reason.INVALID_AMOUNT, f"{row.amount_minor} is more than the {left} left of the payment")
        from_credit = min(row.amount_minor, paid.credit_minor)
        rest = row.amount_minor - from_credit
        allocations = dict(paid.allocations)
        taken: list[Settlement] = []
        for invoice_id in reversed(list(paid.allocations)):
            amount = min(rest, allocations[invoice_id])
            if amount > 0:
                taken.append(self._reopen(self._invoices[invoice_id], amount))
                allocations[invoice_id] -= amount
                rest -= amount
        self._put_paid(
            replace(
                paid,
                credit_minor=paid.credit_minor - from_credit,
                returned_minor=paid.returned_minor + row.amount_minor,
                allocations=allocations,
            )
        )
        return taken, from_credit

    def knows(self, invoice_id: str) -> bool:
        """Return whether the book holds the invoice."""
        return invoice_id in self._invoices

    def may_settle(self, row: PaymentRow, invoice_id: str) -> bool:
        """Return whether the payment is in the invoice's currency."""
        return self._invoices[invoice_id].currency == row.currency

    def recover(self, invoice_id: str, amount_minor: int) -> Settlement | None:
        """Make owed again what `amount_minor` settles beyond what is open, as far as it was written off."""
        invoice = self._invoices[invoice_id]
        amount = min(invoice.written_off_minor, max(amount_minor - invoice.open_minor, 0))
        if not amount:
            return None
        return self._move(
            replace(
                invoice, open_minor=invoice.open_minor + amount, written_off_minor=invoice.written_off_minor - amount
            ),
            amount,
        )

    def left(self, invoice_id: str) -> int:
        """Return what can still be credited of an invoice, gross; nothing of a void one."""
        invoice = self._invoices[invoice_id]
        return 0 if invoice.is_void else invoice.total_minor - invoice.credited_minor

    def credit(self, invoice_id: str, amount_minor: int) -> tuple[Settlement | None, list[tuple[str, int]]]:
        """Return what a credit note settles of what is open, and (payment, amount) of what it takes off payments.

        Raises:
            Refused: more than the invoice's total is credited, or it is void.
        """
        invoice = self._invoices[invoice_id]
        left = self.left(invoice_id)
        if amount_minor > left:
            raise Refused(Reason.REFUSED_BY_BOOK, f"{amount_minor} is more than the {left} left of {invoice_id}")
        settled = min(amount_minor, invoice.open_minor)
        settlement = self._move(
            replace(
                invoice,
                open_minor=invoice.open_minor - settled,
                credited_minor=invoice.credited_minor + amount_minor,
            ),
            settled,
        )
        return settlement if settled else None, self._release(invoice_id, amount_minor - settled)

    def void(self, invoice_id: str) -> tuple[int, list[tuple[str, int]]]:
        """Return what was open of a void invoice, and (payment, amount) of what had been paid.

        Raises:
            Refused: it is void already.
        """
        invoice = self._invoices[invoice_id]
        if invoice.is_void:
            raise Refused(Reason.REFUSED_BY_BOOK, f"{invoice_id} is void already")
        self._move(replace(invoice, open_minor=0, is_void=True), invoice.open_minor)
        return invoice.open_minor, self._release(invoice_id, invoice.total_minor)

    def write_off(self, invoice_id: str) -> Settlement:
        """Give up what is open of an invoice; return it, 0 where it was paid meanwhile."""
        invoice = self._invoices[invoice_id]
        amount = invoice.open_minor
        return self._move(replace(invoice, open_minor=0, written_off_minor=invoice.written_off_minor + amount), amount)

    def _release(self, invoice_id: str, amount_minor: int) -> list[tuple[str, int]]:
        """Turn up to `amount_minor` of what payments settled of the invoice into their credit; return how much each."""
        released, rest = [], amount_minor
        for payment_id in sorted(self._paid, reverse=True):
            paid = self._paid[payment_id]
            amount = min(rest, paid.allocations.get(invoice_id, 0))
            if amount > 0:
                allocations = {**paid.allocations, invoice_id: paid.allocations[invoice_id] - amount}
                self._put_paid(replace(paid, credit_minor=paid.credit_minor + amount, allocations=allocations))
                released.append((payment_id, amount))
                rest -= amount
        return released

    def _targets(self, row: PaymentRow, invoice_id: str | None) -> list[InvoiceRow]:
        if invoice_id is not None:
            return [self._invoices[invoice_id]]
        return [self._invoices[found] for found in self._by_account.get((row.account, row.currency), ())]

    def _settle(self, invoice: InvoiceRow, amount_minor: int) -> Settlement:
        return self._move(replace(invoice, open_minor=invoice.open_minor - amount_minor), amount_minor)

    def _reopen(self, invoice: InvoiceRow, amount_minor: int) -> Settlement:
        return self._move(replace(invoice, open_minor=invoice.open_minor + amount_minor), amount_minor)

    def _move(self, now: InvoiceRow, amount_minor: int) -> Settlement:
        self._invoices[now.invoice_id] = now
        self.changed_invoices[now.invoice_id] = now
        return Settlement(party=now.account, invoice_id=now.invoice_id, amount_minor=amount_minor)

    def _put_paid(self, paid: Paid) -> None:
        self._paid[paid.payment_id] = paid
        self.changed_paid[paid.payment_id] = paid


def _paid_of(row: PaymentRow, settled: list[Settlement], credit_minor: int) -> Paid:
    return Paid(
        payment_id=row.payment_id,
        currency=row.currency,
        account=row.account,
        amount_minor=row.amount_minor,
        credit_minor=credit_minor,
        returned_minor=0,
        allocations={settlement.invoice_id: settlement.amount_minor for settlement in settled},
    )
