"""The books of credit against a model of plain dicts, under random histories of grants, invoices, voids and expiries.

After every step: nothing is used twice, nothing is below zero, parts add up to their whole, and what an invoice came to
is what the model says.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from fakturo.schemas.events.contracts import LoyaltyProgramme
from fakturo.schemas.events.invoices import Invoice
from tests.consumers.invoicing.till import Till, grant_coupon, grant_credit, line, redeem, subscription

POINTS = LoyaltyProgramme(
    code="P", points_per_unit=Decimal(1), point_amount=Decimal("0.10"), redemption_percent=Decimal(75),
    expires_months=3,
)  # fmt: skip
BUDGET = 4_000
TABLES = (
    *("coupon_use", "coupon_holder", "coupon_budget", "credit_use", "credit_grant", "credit_alert", "point_use"),
    *("point_claim", "point_redemption", "point_lot", "point_balance", "cap_use", "commitment_term", "invoice_line"),
    *("released_invoice", "invoice", "subscription_item"),
)
accounts = st.sampled_from(["A", "B"])
amounts = st.integers(min_value=1, max_value=9_000)


@dataclass
class Bill:
    """What one invoice used: coupon holders and what they took off, grants, points by (lot, claim)."""

    invoice: Invoice
    account: str
    coupons: list[tuple[str, int]] = field(default_factory=list)
    credit: list[tuple[str, int]] = field(default_factory=list)
    points: list[tuple[str, int, int]] = field(default_factory=list)
    is_void: bool = False


class Model:
    """Coupons, grants and points in dicts."""

    def __init__(self) -> None:
        self.holders: dict[str, dict[str, Any]] = {}
        self.budget = BUDGET
        self.grants: dict[str, dict[str, Any]] = {}
        self.lots: dict[str, dict[str, Any]] = {}
        self.claims: list[dict[str, Any]] = []

    def balance(self, account: str) -> int:
        return sum(lot["free"] for lot in self.lots.values() if lot["account"] == account)

    def claim(self, account: str, points: int) -> bool:
        if points > self.balance(account):
            return False
        for name, lot in sorted(self.lots.items(), key=lambda pair: (pair[1]["on"], pair[0])):
            part = min(points, lot["free"]) if lot["account"] == account else 0
            if part:
                lot["free"] -= part
                points -= part
                self.claims.append({"account": account, "lot": name, "left": part})
        return True

    def bill(self, bill: Bill, amount: int, on: date) -> tuple[int, int, int]:
        """Return subtotal, tax and credit applied, having used what the invoice uses."""
        left = amount
        mine = [(h["priority"], h["code"], name) for name, h in self.holders.items() if h["account"] == bill.account]
        for _, _, name in sorted(mine):
            holder = self.holders[name]
            off = min(left, holder["amount"] or (left * holder["percent"] + 50) // 100)
            off = min(off, self.budget) if holder["code"] == "TEN" else off
            if holder["uses"] and off:
                left -= off
                holder["uses"] -= 1
                self.budget -= off if holder["code"] == "TEN" else 0
                bill.coupons.append((name, off))
        left -= self.draw(bill, "promotional", left, on)
        left -= self.redeem(bill, left)
        if left // 100:
            self.lots[bill.invoice.invoice_id] = {
                "account": bill.account, "free": left // 100, "on": on, "expires": _months_later(on, 3), "gone": False,
            }  # fmt: skip
        tax = (left * 20 + 50) // 100
        return left, tax, self.draw(bill, "prepaid", left + tax, on)

    def draw(self, bill: Bill, kind: str, wanted: int, on: date) -> int:
        mine = [(g["priority"], g["expires"], name) for name, g in self.grants.items()
                if (g["account"], g["kind"]) == (bill.account, kind) and on < g["expires"]]  # fmt: skip
        rest = wanted
        for _, _, name in sorted(mine):
            part = min(rest, self.grants[name]["left"])
            if part:
                self.grants[name]["left"] -= part
                bill.credit.append((name, part))
                rest -= part
        return wanted - rest

    def redeem(self, bill: Bill, left: int) -> int:
        off = 0
        for index, claim in enumerate(self.claims):
            points = min(claim["left"], (left - off) // 10) if claim["account"] == bill.account else 0
            if points:
                claim["left"] -= points
                bill.points.append((claim["lot"], index, points))
                off += points * 10
        return off

    def void(self, bill: Bill) -> None:
        for name, off in bill.coupons:
            self.holders[name]["uses"] += 1
            self.budget += off if self.holders[name]["code"] == "TEN" else 0
        for name, part in bill.credit:
            self.grants[name]["left"] += part
        for lot, index, points in bill.points:
            if not self.lots[lot]["gone"]:
                self.claims[index]["left"] += points
        if bill.invoice.invoice_id in self.lots:
            self.lots[bill.invoice.invoice_id].update(free=0, gone=True)
            for claim in self.claims:
                if claim["lot"] == bill.invoice.invoice_id:
                    claim["left"] = 0

    def expire(self, on: date) -> tuple[int, int]:
        """Return credit and points that are lost by `on`."""
        credit = sum(g["left"] for g in self.grants.values() if g["expires"] <= on)
        points = sum(lot["free"] for lot in self.lots.values() if lot["expires"] <= on)
        for grant in self.grants.values():
            grant["left"] = 0 if grant["expires"] <= on else grant["left"]
        for lot in self.lots.values():
            lot["free"] = 0 if lot["expires"] <= on else lot["free"]
        return credit, points


def _months_later(on: date, months: int) -> date:
    years, month0 = divmod(on.month - 1 + months, 12)
    return date(on.year + years, month0 + 1, on.day)


class Books(RuleBasedStateMachine):
    """One history; time goes from month to month, and each month bills what the rules say."""

    runner: asyncio.Runner
    connection: asyncpg.Connection

    def __init__(self) -> None:
        super().__init__()
        tables = ", ".join(f"invoicing.{name}" for name in TABLES)
        self.run(self.connection.execute(f"TRUNCATE {tables} CASCADE"))
        self.till, self.model = Till(self.connection), Model()
        self.bills: list[Bill] = []
        self.month, self.count = 1, 0

    def run(self, work: Any) -> Any:
        async def awaited() -> Any:
            return await work

        return self.runner.run(awaited())

    def name(self) -> str:
        self.count += 1
        return f"g{self.count:03}"

    @rule(
        account=accounts,
        amount=amounts,
        promotional=st.booleans(),
        months=st.integers(1, 6),
        priority=st.integers(1, 2),
    )
    def grant_credit(self, account: str, amount: int, promotional: bool, months: int, priority: int) -> None:
        name, kind = self.name(), "promotional" if promotional else "prepaid"
        expires_on = _months_later(date(2026, 1, 1), self.month + months)
        asked = grant_credit(
            name, f"{amount // 100}.{amount % 100:02}", account, kind=kind, priority=priority, expires_on=expires_on
        )
        self.run(self.till.ask(asked, asked))
        self.model.grants[name] = {
            "account": account, "kind": kind, "left": amount, "priority": priority, "expires": expires_on,
        }  # fmt: skip

    @rule(account=accounts, uses=st.integers(1, 3))
    def grant_percent(self, account: str, uses: int) -> None:
        if f"grant/TEN-{account}" in self.model.holders:
            return
        self.run(
            self.till.ask(
                grant_coupon("TEN", account, duration="periods", periods=uses, budget_minor=BUDGET, currency="EUR")
            )
        )
        self.model.holders[f"grant/TEN-{account}"] = {
            "account": account, "code": "TEN", "percent": 10, "amount": None, "uses": uses, "priority": 100,
        }  # fmt: skip

    @rule(account=accounts, amount=st.integers(1, 800), priority=st.sampled_from([50, 150]))
    def grant_amount(self, account: str, amount: int, priority: int) -> None:
        if f"grant/OFF-{account}" in self.model.holders:
            return
        self.run(self.till.ask(grant_coupon("OFF", account, duration="once", amount_minor=amount, priority=priority)))
        self.model.holders[f"grant/OFF-{account}"] = {
            "account": account, "code": "OFF", "percent": None, "amount": amount, "uses": 1, "priority": priority,
        }  # fmt: skip

    @rule(account=accounts, points=st.integers(1, 120))
    def redeem(self, account: str, points: int) -> None:
        tx = self.run(self.till.ask(redeem(self.name(), points, account)))
        assert bool(tx.rejections) != self.model.claim(account, points)

    @rule(account=accounts, amount=amounts)
    def bill(self, account: str, amount: int) -> None:
        by = (subscription(account, f"S-{account}", loyalty=POINTS),)
        item = line(amount, of=f"S-{account}", product=f"P{len(self.bills)}", number=self.month)
        invoice = self.run(self.till.bill(self.month, item, by=by, account=account))
        bill = Bill(invoice=invoice, account=account)
        subtotal, tax, credit = self.model.bill(bill, amount, invoice.issue_date)
        assert (invoice.subtotal_minor, invoice.tax_minor, invoice.credits_applied_minor) == (subtotal, tax, credit)
        assert invoice.subtotal_minor == amount + sum(one.amount_minor for one in invoice.discounts)
        assert invoice.amount_due_minor == subtotal + tax - credit >= 0
        assert sum(one.amount_minor for one in invoice.credits) == credit
        self.bills.append(bill)

    @rule(choice=st.integers(0, 50))
    def void(self, choice: int) -> None:
        standing = [bill for bill in self.bills if not bill.is_void]
        if not standing:
            return
        bill = standing[choice % len(standing)]
        bill.is_void = True
        self.run(self.till.void(bill.invoice))
        self.run(self.till.void(bill.invoice))
        self.model.void(bill)

    @rule()
    def pass_a_month(self) -> None:
        self.month += 1
        on = _months_later(date(2026, 1, 1), self.month)
        told = self.run(self.till.tick(datetime(on.year, on.month, on.day, tzinfo=UTC)))
        credit, points = self.model.expire(on)
        assert sum(one.amount_minor for one in told if hasattr(one, "grant_id")) == credit
        assert sum(one.points for one in told if hasattr(one, "points")) == points

    @invariant()
    def books_are_the_models(self) -> None:
        fetch = self.connection.fetch
        left = "SELECT grant_id, amount_minor - used_minor - expired_minor AS left FROM invoicing.credit_grant"
        assert dict(self.run(fetch(left))) == {name: grant["left"] for name, grant in self.model.grants.items()}
        uses = "SELECT holder_id, uses_max - used_count FROM invoicing.coupon_holder"
        assert dict(self.run(fetch(uses))) == {name: holder["uses"] for name, holder in self.model.holders.items()}
        budget = "SELECT budget_minor - spent_minor FROM invoicing.coupon_budget"
        assert [row[0] for row in self.run(fetch(budget))] in ([], [self.model.budget])
        balances = dict(self.run(fetch("SELECT account_id, points FROM invoicing.point_balance")))
        for account in ("A", "B"):
            assert balances.get(account, 0) == self.model.balance(account)

    @invariant()
    def parts_add_up_to_their_whole(self) -> None:
        wrong = (
            "SELECT grant_id FROM invoicing.credit_grant g WHERE used_minor <> (SELECT coalesce(sum(amount_minor), 0) "
            "FROM invoicing.credit_use u WHERE u.grant_id = g.grant_id) "
            "UNION ALL SELECT code FROM invoicing.coupon_budget b WHERE spent_minor <> (SELECT coalesce(sum("
            "amount_minor), 0) FROM invoicing.coupon_use u WHERE u.code = b.code) "
            "UNION ALL SELECT lot_id FROM invoicing.point_lot l WHERE (redeemed, claimed) <> (SELECT coalesce(sum("
            "redeemed), 0), coalesce(sum(points), 0) FROM invoicing.point_claim c WHERE c.lot_id = l.lot_id) "
            "UNION ALL SELECT lot_id FROM invoicing.point_lot WHERE points = redeemed + expired AND "
            "released_minor <> deferred_minor"
        )
        assert self.run(self.connection.fetch(wrong)) == []


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """Return a loop of this test's own: the machine's rules are plain functions."""
    with asyncio.Runner() as own:
        yield own


def test_any_history_leaves_the_books_that_the_model_has(runner: asyncio.Runner, database_url: str) -> None:
    async def opened() -> asyncpg.Connection:
        return await asyncpg.connect(database_url)

    connection = runner.run(opened())
    machine = type("Machine", (Books,), {"runner": runner, "connection": connection})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    runner.run(_close(connection))


async def _close(connection: asyncpg.Connection) -> None:
    await connection.close()
