"""The ledger against a model of plain dicts, under random histories with repeats, bad amounts and any batch size.

Invoices with discounts, prepaid credit and points among them, and credit that is granted and expires.

Invariants after every batch (numbers of the accounting reference): I1 each journal sums to 0, I2 the trial balance is
0, I3 a balance is the sum of its lines and counts them, I5 one journal a source and kind, I8 receivables of a customer
are what is open of its invoices, I9 what a payment settles, holds as credit and gave back is its amount.
"""

import random
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from fakturo.schemas.codec import decode_event, encode
from fakturo.schemas.envelope import event_of
from fakturo.schemas.events.credit import CREDIT_EXPIRED, CREDIT_GRANTED, POINTS_EXPIRED, CreditMovement, PointsExpired
from fakturo.schemas.events.invoices import CreditApplied, InvoiceDiscount, LoyaltyMovement

ACCOUNTS = ("UA", "DL", "AA")


class Model:
    """Receivables in dicts: what any of these events must do to what is open, to credit and to cash."""

    def __init__(self):
        self.open, self.due, self.total = {}, {}, {}
        self.paid, self.returned = {}, set()
        self.cash = self.revenue = self.fees = self.notes = self.bad_debt = 0
        self.written_off, self.credited, self.void = defaultdict(int), defaultdict(int), set()
        self.credit = defaultdict(int)
        self.prepaid, self.applied = defaultdict(int), defaultdict(int)
        self.discounted, self.waiting = defaultdict(int), defaultdict(int)
        self.discounts = self.points = self.breakage = 0

    def invoice(self, name, account, amount, due, *, prepaid=0, discount=0, waiting=0):
        self.total[name] = amount
        self.open[name] = amount - prepaid
        self.due[name] = (account, due)
        self.applied[name], self.discounted[name], self.waiting[name] = prepaid, discount, waiting
        self.prepaid[account] -= prepaid
        self.revenue += amount + discount - waiting
        self.discounts += discount
        self.points += waiting

    def grant(self, account, amount):
        self.credit[account] -= amount
        self.prepaid[account] += amount

    def expire(self, account, amount):
        self.prepaid[account] -= amount
        self.breakage += amount

    def expire_points(self, amount):
        self.points -= amount
        self.breakage += amount

    def pay(self, payment, account, amount, fee, name):
        mine = sorted((due, key) for key, (owner, due) in self.due.items() if owner == account)
        rest, settled = amount, {}
        if name:
            self.recover(name, amount)
        for key in [name] if name else [key for _, key in mine]:
            part = min(rest, self.open[key])
            if part:
                self.open[key] -= part
                settled[key] = part
                rest -= part
        self.credit[account] += rest
        self.cash += amount - fee
        self.fees += fee
        self.paid[payment] = {"account": account, "settled": settled, "credit": rest, "left": amount}

    def give_back(self, payment, amount, fee):
        paid = self.paid[payment]
        if amount > paid["left"]:
            return
        paid["left"] -= amount
        part = min(amount, paid["credit"])
        paid["credit"] -= part
        self.credit[paid["account"]] -= part
        rest = amount - part
        for key in reversed(list(paid["settled"])):
            back = min(rest, paid["settled"][key])
            paid["settled"][key] -= back
            self.open[key] += back
            rest -= back
        self.cash -= amount + fee
        self.fees += fee

    def recover(self, name, amount):
        part = min(self.written_off[name], max(amount - self.open[name], 0))
        self.written_off[name] -= part
        self.open[name] += part
        self.bad_debt -= part

    def release(self, name, amount):
        for payment in sorted(self.paid, reverse=True):
            paid = self.paid[payment]
            part = min(amount, paid["settled"].get(name, 0))
            if part:
                paid["settled"][name] -= part
                paid["credit"] += part
                amount -= part

    def credit_note(self, name, amount, discount, waiting):
        self.recover(name, amount)
        self.discounted[name] -= discount
        self.waiting[name] -= waiting
        self.discounts -= discount
        self.points -= waiting
        part = min(amount, self.open[name])
        self.open[name] -= part
        self.credited[name] += amount
        self.credit[self.due[name][0]] += amount - part
        self.notes += amount + discount - waiting
        self.release(name, amount - part)

    def make_void(self, name):
        account, due = self.due[name][0], self.total[name] - self.applied[name]
        self.recover(name, due)
        self.credit[account] += due - self.open[name]
        self.open[name] = 0
        self.prepaid[account] += self.applied[name]
        self.revenue -= self.total[name] + self.discounted[name] - self.waiting[name]
        self.discounts -= self.discounted[name]
        self.points -= self.waiting[name]
        self.void.add(name)
        self.release(name, self.total[name])

    def write_off(self, name):
        self.written_off[name] += self.open[name]
        self.bad_debt += self.open[name]
        self.open[name] = 0

    def balances(self):
        found = {("1020", None): self.cash, ("4000", None): -self.revenue, ("6200", None): self.fees}
        found |= {("4095", None): self.notes, ("6100", None): self.bad_debt}
        found |= {("2210", None): -self.points, ("4080", None): -self.breakage, ("4090", None): self.discounts}
        for account in ACCOUNTS:
            found["2320", account] = -self.prepaid[account]
            found["1200", account] = sum(v for k, v in self.open.items() if self.due[k][0] == account)
            found["2300", account] = -self.credit[account]
        return {key: value for key, value in found.items() if value}


def step(chance, number, desk, model):
    """Return the record of one random event, having told the model."""
    kinds = ["invoice", "pay", "refunded", "charged_back", "document", "credit"]
    kind = chance.choices(kinds, [4, 5, 1, 1, 2, 2])[0]
    account, amount = chance.choice(ACCOUNTS), chance.randrange(1, 20_000)
    if kind == "invoice" or not any(model.due[name][0] == account for name in model.open):
        issued_on = date(2026, 1, 1) + timedelta(days=number)
        name = f"i{number:04}"
        due_on = issued_on + timedelta(days=chance.choice([7, 30]))
        prepaid = chance.choice([0, min(amount, model.prepaid[account])])
        discount, waiting = (chance.choice([0, chance.randrange(1, amount + 1)]) for _ in range(2))
        model.invoice(name, account, amount, due_on, prepaid=prepaid, discount=discount, waiting=waiting)
        record = desk.invoice(
            name, account, net=amount, tax=0, credits_applied=prepaid, issued_on=issued_on, due_on=due_on
        )
        return shaped(desk, record, prepaid, -discount, waiting)
    if kind == "credit":
        return movement(chance, number, account, amount, desk, model)
    if kind == "document":
        return document(chance, number, account, desk, model)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    fee = chance.choice([0, 0, 35])
    given = {"received_at": at, "fee": f"{fee / 100:.2f}"}
    if kind == "pay" or not model.paid:
        named = chance.choice([name for name in model.open if model.due[name][0] == account] + [None] * 3)
        model.pay(f"p{number}", account, amount, fee, named)
        return desk.payment(f"p{number}", f"{amount / 100:.2f}", account, invoice_id=named, **given)
    payment = chance.choice(list(model.paid))
    if (payment, kind) in model.returned:
        return None
    model.returned.add((payment, kind))
    model.give_back(payment, amount, fee)
    return desk.payment(payment, f"{amount / 100:.2f}", model.paid[payment]["account"], kind=kind, **given)


def document(chance, number, account, desk, model):
    """Return a credit note, void or write-off of a random invoice, having told the model."""
    name = chance.choice([key for key in model.open if model.due[key][0] == account])
    left = model.total[name] - model.credited[name]
    kind = chance.choice(["voided", "uncollectible", "note", "note"])
    if name in model.void or (kind == "voided" and model.credited[name]) or not left:
        return None
    if kind == "note":
        amount = chance.choice([left, chance.randrange(1, left + 1)])
        shares = model.discounted[name], model.waiting[name]
        discount, waiting = shares if amount == left else (chance.randrange(share + 1) for share in shares)
        model.credit_note(name, amount, discount, waiting)
        return shaped(desk, desk.credit_note(f"c{number}", name, amount, 0, account), 0, discount, -waiting)
    shape = model.applied[name], -model.discounted[name], model.waiting[name]
    {"voided": model.make_void, "uncollectible": model.write_off}[kind](name)
    event_id = f"{name}:{kind}:{number}"
    record = desk.document(
        name, kind, account, net=model.total[name], tax=0, credits_applied=shape[0], event_id=event_id
    )
    return shaped(desk, record, *shape)


def shaped(desk, record, prepaid, discount, waiting):
    """Return the record of a document with prepaid credit, a discount, and revenue that waits for points."""
    event = decode_event(record.value)
    data = structs.replace(
        event.data,
        credits=(CreditApplied(grant_id="g", amount_minor=prepaid),) if prepaid else (),
        discounts=(InvoiceDiscount(description="D", amount_minor=discount),) if discount else (),
        loyalty=LoyaltyMovement(programme="P", deferred_minor=waiting) if waiting else None,
    )
    return desk.record("billing.invoices", encode(structs.replace(event, data=data)))


def movement(chance, number, account, amount, desk, model):
    """Return a grant of prepaid credit, its expiry or that of points, having told the model."""
    on, at = date(2026, 1, 1) + timedelta(days=number), datetime(2026, 1, 1, tzinfo=UTC)
    kind = chance.choice([CREDIT_GRANTED, CREDIT_GRANTED, CREDIT_EXPIRED, POINTS_EXPIRED])
    left = {CREDIT_GRANTED: amount, CREDIT_EXPIRED: model.prepaid[account], POINTS_EXPIRED: model.points}[kind]
    part = min(amount, left)
    if part <= 0:
        return None
    if kind == POINTS_EXPIRED:
        model.expire_points(part)
        data = PointsExpired(
            account=account, currency="EUR", programme="P", invoice_id="i", points=1, released_minor=part,
            effective_on=on,
        )  # fmt: skip
    else:
        (model.grant if kind == CREDIT_GRANTED else model.expire)(account, part)
        data = CreditMovement(
            grant_id="g", account=account, currency="EUR", kind="prepaid", amount_minor=part, balance_minor=0,
            effective_on=on,
        )  # fmt: skip
    event = event_of(agent="invoicing", event_type=kind, id=f"m{number}", subject=account, time=at, data=data)
    return desk.record("billing.invoices", encode(event))


async def check_invariants(connection):
    unbalanced = (
        "SELECT count(*) FROM (SELECT FROM ledger.line GROUP BY journal_id, currency HAVING sum(amount_minor) <> 0) x"
    )
    assert await connection.fetchval(unbalanced) == 0  # I1
    assert await connection.fetchval("SELECT coalesce(sum(amount_minor), 0) FROM ledger.balance") == 0  # I2
    lines = "SELECT account_code, party, currency, sum(amount_minor), count(*) FROM ledger.line GROUP BY 1, 2, 3"
    balances = "SELECT account_code, party, currency, amount_minor, postings FROM ledger.balance"
    differing = await connection.fetch(f"({lines} EXCEPT {balances}) UNION ALL ({balances} EXCEPT {lines})")
    assert differing == []  # I3
    sources = await connection.fetchrow(
        "SELECT count(*), count(DISTINCT (source_type, source_id, kind)) FROM ledger.journal"
    )
    assert sources[0] == sources[1]  # I5
    differing = await connection.fetch(
        "SELECT account FROM ledger.invoice GROUP BY account HAVING sum(open_minor) IS DISTINCT FROM "
        "(SELECT sum(amount_minor) FROM ledger.line WHERE account_code = '1200' AND party = account)"
    )
    assert differing == []  # I8
    differing = await connection.fetch(
        "SELECT payment_id FROM ledger.payment p WHERE type = 'received' AND amount_minor <> credit_minor + "
        "returned_minor + (SELECT coalesce(sum(amount_minor), 0) FROM ledger.allocation a "
        "WHERE a.payment_id = p.payment_id)"
    )
    assert differing == []  # I9
    differing = await connection.fetch(
        "SELECT invoice_id FROM ledger.invoice i WHERE NOT is_void AND open_minor + written_off_minor <> "
        "(SELECT coalesce(sum(amount_minor), 0) FROM ledger.line l WHERE l.invoice_id = i.invoice_id "
        "AND account_code = '1200') + written_off_minor OR is_void AND open_minor <> 0"
    )
    assert differing == []  # of every invoice 1200 holds what is open


@pytest.mark.parametrize("seed", range(8))
async def test_any_history_leaves_the_books_that_the_model_has(desk, seed):
    chance, model, handed = random.Random(seed), Model(), []
    for number in range(120):
        record = step(chance, number, desk, model)
        batch = [] if record is None else [record]
        if chance.random() < 0.2:
            batch.append(desk.payment(f"bad{number}", chance.choice(["0.001", "-1", "0"]), "UA"))
        if handed and chance.random() < 0.3:
            batch.append(chance.choice(handed))
        handed += batch[:1] if record else []
        await desk.hand_in(*batch)
        if number % 20 == 0:
            await check_invariants(desk.connection)
    assert await desk.balances() == model.balances()
    assert await desk.open_minor() == model.open
    await check_invariants(desk.connection)


@pytest.mark.parametrize("seed", [1, 2])
async def test_one_batch_or_many_give_the_same_books(desk, seed):
    """Invoices first, then payments in order of time: the order that a batch is booked in whatever its size."""
    chance, model, records = random.Random(seed), Model(), []
    for number in range(60):
        name, account = f"i{number:04}", chance.choice(ACCOUNTS)
        amount = chance.randrange(1, 20_000)
        model.invoice(name, account, amount, date(2026, 1, 31) + timedelta(days=number))
        records.append(
            desk.invoice(name, account, net=amount, tax=0, issued_on=date(2026, 1, 1) + timedelta(days=number))
        )
    payments = [step(_only_payments(chance), number, desk, model) for number in range(100, 180)]
    everything = records + [record for record in payments if record]
    chance.shuffle(everything)
    await desk.hand_in(*everything)
    assert await desk.open_minor() == model.open
    assert await desk.balances() == model.balances()
    await check_invariants(desk.connection)


def _only_payments(chance):
    chance.choices = lambda *_: ["pay"]
    return chance


async def test_beancount_agrees_on_every_balance(desk, tmp_path):
    """The journals as text, checked by an accounting program that shares nothing with this one."""
    chance, model = random.Random(99), Model()
    for number in range(80):
        if record := step(chance, number, desk, model):
            await desk.hand_in(record)
    book = tmp_path / "ledger.beancount"
    book.write_text(beancount_text(desk.published, await desk.balances()))
    bean_check = Path(sys.executable).with_name("bean-check")
    good = subprocess.run([bean_check, book], capture_output=True, text=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
    book.write_text(beancount_text(desk.published, {**await desk.balances(), ("4000", None): -1}))
    wrong = subprocess.run([bean_check, book], capture_output=True, text=True, check=False)
    assert wrong.returncode != 0
    assert "Balance failed" in wrong.stderr


_KINDS = {"1": "Assets", "2": "Liabilities", "4": "Income", "6": "Expenses"}


def beancount_text(events, balances):
    """Return the journals, and an assertion of each balance after the last day, in beancount's language."""

    def name(code, party):
        return f"{_KINDS[code[0]]}:A{code}" + (f":{party}" if party else "")

    lines = []
    accounts = {(line.account_code, line.party) for event in events for line in event.data.lines}
    lines += [f"2020-01-01 open {name(*account)} EUR" for account in sorted(accounts, key=str)]
    for event in events:
        lines.append(f'{event.data.effective_on} * "{event.data.journal_id}"')
        for line in event.data.lines:
            amount = line.amount_minor
            lines.append(f"  {name(line.account_code, line.party)}  {_major(amount)} EUR")
    for account in sorted(accounts, key=str):
        lines.append(f"2030-01-01 balance {name(*account)}  {_major(balances.get(account, 0))} EUR")
    return "\n".join(lines) + "\n"


def _major(minor):
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02}"
