"""The plain parts of an answer: what the line, its document and its other lines say of themselves. Pure.

Place     lines, contract -> [this] -> explaining.
"""

from fakturo.cli.explain.answer import Change, Document, Line, OtherLine, Span, Standing, Step
from fakturo.cli.explain.commitments import subscription_of_true_up
from fakturo.cli.explain.contract import Contract
from fakturo.cli.explain.lines import BookedLine, FoundDocument, FoundLine
from fakturo.engine.money import ZERO, exact_context, from_minor
from fakturo.engine.periods import Period


def change_of(found: FoundLine) -> Change | None:
    """Return what the line changed; None of a first bill that nothing has changed since."""
    if not found.earlier and not found.later:
        return None
    currency = found.document.invoice.currency
    with exact_context():
        quantity = sum((one.quantity for one in found.earlier), ZERO)
        now = quantity + found.line.quantity
    before_minor = sum(one.rated_minor for one in found.earlier)
    return Change(
        before=Standing(quantity=quantity, amount=from_minor(before_minor, currency)),
        now=Standing(quantity=now, amount=from_minor(before_minor + found.rated_minor, currency)),
        earlier=tuple(other_of(one, currency) for one in found.earlier),
        later=tuple(other_of(one, currency) for one in found.later),
    )


def document_of(found: FoundDocument) -> Document:
    """Return what the document is."""
    invoice = found.invoice
    return Document(
        invoice_id=invoice.invoice_id,
        number=invoice.number,
        kind=found.kind,
        status=found.status,
        account=invoice.account,
        issued_on=invoice.issue_date,
        period_start=invoice.period.start,
        period_end=invoice.period.end,
        corrects=invoice.corrects,
        reissues=invoice.reissues,
    )


def line_of(found: FoundLine, contract: Contract | None) -> Line:
    """Return the line as it was billed."""
    line, currency = found.line, found.document.invoice.currency
    subscription = contract.subscription_id if contract else None
    if line.kind == "true_up":
        subscription = subscription_of_true_up(found)
    return Line(
        line_id=line.line_id,
        number=found.number,
        kind=line.kind,
        account=line.account or found.document.invoice.account,
        subscription_id=subscription,
        subscription_item=line.subscription_item,
        product_code=line.product_code,
        description=line.description,
        explanation=line.explanation,
        quantity=line.quantity,
        unit=line.unit,
        unit_amount=line.unit_amount,
        amount=from_minor(line.amount_minor, currency),
        amount_exact=line.amount_exact,
        currency=currency,
    )


def other_of(line: BookedLine, currency: str) -> OtherLine:
    """Return another line in short."""
    return OtherLine(
        line_id=line.line_id,
        invoice=line.invoice,
        kind=line.kind,
        quantity=line.quantity,
        amount=from_minor(line.amount_minor, currency),
        status=line.status,
    )


def whole_step(found: FoundLine) -> Step:
    """Return all of the line as one step."""
    amount = from_minor(found.line.amount_minor, found.document.invoice.currency)
    return Step(description=found.line.explanation, quantity=None, unit_amount=None, amount=amount)


def span_of(period: Period, zone: str) -> Span:
    """Return the period with the zone in which its days are counted."""
    return Span(start=period.start_at, end=period.end_at, timezone=zone)


def slice_of(found: FoundLine) -> Period:
    """Return the stretch of time that the line bills."""
    return Period(start_at=found.line.period.start, end_at=found.line.period.end)


def locale_of(found: FoundLine) -> str | None:
    """Return the language of the customer."""
    return found.document.invoice.customer.locale
