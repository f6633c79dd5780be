"""An invoice while its discounts are worked out: its lines, whose they are, and what is left of each.

Place     discounts, true_up -> [this]. Lines stand in the order of the invoice, which the shares follow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import asyncpg

from fakturo.consumers.invoicing.coupon_store import subscriptions_of
from fakturo.consumers.invoicing.groups import Payer
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.commitments import item_of
from fakturo.engine.discounts import CoveredLine, Offer, after
from fakturo.engine.explanations import explain
from fakturo.engine.invoicing import AppliedDiscount, BilledItem, InvoiceHead, invoice_id_of, sorted_items
from fakturo.engine.periods import local_date
from fakturo.schemas.events.contracts import LoyaltyProgramme, Subscription


@dataclass(slots=True, kw_only=True)
class Document:
    """The lines of one invoice and what discounts have left of them (minor units); `hold` books what is used."""

    driver: asyncpg.Connection
    payer: Payer
    head: InvoiceHead
    at: datetime
    hold: bool
    items: tuple[BilledItem, ...]
    subscription_of: dict[str, str]
    left: tuple[int, ...]
    extra_items: tuple[BilledItem, ...] = ()
    applied: list[AppliedDiscount] = field(default_factory=list)

    @classmethod
    async def of(
        cls,
        tx: Transaction,
        payer: Payer,
        head: InvoiceHead,
        items: Sequence[BilledItem],
        *,
        at: datetime,
        hold: bool,
    ) -> "Document":
        """Return the invoice before any discount."""
        ordered = sorted_items(items)
        return cls(
            driver=tx.driver,
            payer=payer,
            head=head,
            at=at,
            hold=hold,
            items=ordered,
            subscription_of=await subscriptions_of(tx.driver, (item.subscription_item for item in items)),
            left=tuple(item.amount_minor for item in ordered),
        )

    @property
    def subscriptions(self) -> dict[str, Subscription]:
        """Return the subscriptions on the invoice by id."""
        return {one.subscription_id: one for one in self.payer.subscriptions}

    @property
    def accounts(self) -> list[str]:
        """Return the payer and the customers whose lines it pays."""
        return sorted({self.payer.account_id, *(item.account for item in self.items if item.account is not None)})

    @property
    def invoice_id(self) -> str:
        """Return the id that `build_invoice` gives it."""
        head = self.head
        return invoice_id_of(head.account, head.period.start_at, head.revision, head.seller_code, head.cost_centre)

    @property
    def issued_on(self) -> date:
        """Return the issue date, as `build_invoice` has it."""
        return local_date(self.head.issued_at or self.head.period.end_at, self.head.zone)

    async def add(self, extra: Iterable[BilledItem]) -> None:
        """Put further lines on the invoice, before any discount is applied."""
        self.extra_items = (*self.extra_items, *extra)
        if not self.extra_items:
            return
        self.subscription_of |= {item_of(name): name for name in self.subscriptions}
        self.items = sorted_items((*self.items, *self.extra_items))
        self.left = tuple(item.amount_minor for item in self.items)

    def apply(self, kind: str, code: str | None, description: str, shares: Sequence[int]) -> None:
        """Take a discount off the lines; nothing where it comes to nothing."""
        amount = sum(shares)
        if amount:
            self.left = after(self.left, shares)
            self.applied.append(
                AppliedDiscount(
                    kind=kind, code=code, description=description, amount_minor=amount, shares=tuple(shares)
                )
            )

    def say(self, key: str, *arguments: str) -> str:
        """Return a phrase in the customer's language."""
        return explain(((key, *arguments),), self.payer.version.locale)

    def covered_lines(self) -> list[CoveredLine]:
        """Return the lines as coupons look at them."""
        return [
            CoveredLine(
                subscription_id=self.subscription_of.get(item.subscription_item, ""),
                account=item.account or self.payer.account_id,
                product_code=item.product_code,
                amount_minor=item.amount_minor,
            )
            for item in self.items
        ]

    def covering(self, offer: Offer) -> Offer:
        """Return the offer with what it covers here: a grant to the payer covers the whole invoice."""
        whole = offer.subscription_id is not None or offer.account == self.payer.account_id
        return replace(offer, account=None) if whole else offer

    def periods_of(self, subscription_id: str) -> dict[datetime, list[int]]:
        """Return the lines of a subscription by the start of their billing period; a true-up is of none."""
        found: dict[datetime, list[int]] = {}
        for index, item in enumerate(self.items):
            if self.subscription_of.get(item.subscription_item) == subscription_id and item.kind != "true_up":
                start_at = (item.item_period or self.head.period).start_at
                found.setdefault(start_at, []).append(index)
        return dict(sorted(found.items()))

    def programme(self) -> tuple[LoyaltyProgramme | None, list[int]]:
        """Return the invoice's programme, the first subscription's that has one, and the lines that earn in it."""
        found = [one for _, one in sorted(self.subscriptions.items()) if one.loyalty is not None]
        if not found or found[0].loyalty is None:
            return None, []
        programme = found[0].loyalty
        members = {one.subscription_id for one in found if one.loyalty and one.loyalty.code == programme.code}
        lines = [i for i, item in enumerate(self.items) if self.subscription_of.get(item.subscription_item) in members]
        return programme, lines
