"""Each command as a user runs it, on one small home: bad input among good, one letter mended, one month billed."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fakturo.cli.agents import AGENTS
from fakturo.cli.connect import settings_of
from fakturo.cli.lifecycle import keep
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.publisher import make_producer
from fakturo.producers.replay import Replay
from fakturo.producers.replay_lines import ReplayLine, read_lines
from fakturo.schemas.topics import PAYMENTS
from tests.golden.cases import HERE as GOLDEN

CASE = GOLDEN / "bad_input"
MENDED = {
    "specversion": "1.0", "id": "bad-5", "source": "golden/meter", "type": "api.calls", "subject": "A-100",
    "time": "2026-06-10T10:05:00Z", "data": {"calls": "20"},
}  # fmt: skip


class Home:
    """A folder that the command works on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("FAKTURO_", "DATABASE_URL"))}
        self.environment = {**clean, "FAKTURO_HOME": str(folder)}

    def run(self, *arguments: str, status: int = 0) -> str:
        """Return what `fakturo <arguments>` prints, having checked its exit status."""
        command = [sys.executable, "-m", "fakturo.cli.main", *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == status, f"{arguments}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if status == 0 else done.stderr

    def json(self, *arguments: str, status: int = 0) -> Any:
        """Return what the command prints with --json."""
        return json.loads(self.run(*arguments, "--json", status=status))

    def play(self, lines: list[ReplayLine], until: datetime) -> None:
        """Publish `lines`, let time reach `until`, wait until all is worked off."""
        asyncio.run(_play(settings_of(self.folder), lines, until))


async def _play(settings: Settings, lines: list[ReplayLine], until: datetime) -> None:
    connection = await asyncpg.connect(settings.database_url)
    producer = make_producer(settings.kafka, linger_ms=5)
    await producer.start()
    try:
        replay = Replay(settings=settings, producer=producer, connection=connection)
        await replay.publish(lines)
        await replay.tick(until)
    finally:
        await producer.stop()
        await connection.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Return a home that ran through the case: stopped and brought up again after the bill."""
    home = Home(tmp_path_factory.mktemp("home"))
    catalog = str(CASE / "catalog.yaml")
    agents_of = {"FAKTURO_CATALOG": catalog, "FAKTURO_GRACE_SECONDS": "0", "FAKTURO_BILLING_UNTIL": "2026-07-01"}
    keep(home.folder, agents_of, (*AGENTS, "relay"))
    home.run("up")
    try:
        lines = list(read_lines(CASE / "history.jsonl"))
        usage = [line for line in lines if line.topic != PAYMENTS.name]
        home.play(usage, datetime(2026, 6, 11, tzinfo=UTC))
        yield home
    finally:
        home.run("down")


def test_the_next_invoice_is_shown_as_it_stands_and_at_the_present_pace(home: Home) -> None:
    (outlook,) = home.json("preview", "A-100")
    assert (outlook["as_of"], outlook["due_at"]) == ("2026-06-11T00:00:00Z", "2026-06-30T22:00:00Z")
    # 130 calls: 100 at 2.00, 30 at 1.50, 25 % tax.
    now, forecast = outlook["now"], outlook["forecast"]
    assert (now["status"], now["number"], now["subtotal_minor"], now["total_minor"]) == ("draft", None, 245_00, 306_25)
    # 242 of the 720 hours of June are gone: 130 x 720 / 242 = 386.77685950413 calls, so 200 and 286.776... at 1.50.
    assert forecast["lines"][0]["quantity"] == "386.776859504132"
    assert (forecast["subtotal_minor"], forecast["tax_minor"], forecast["total_minor"]) == (630_17, 157_54, 787_71)
    assert "630.17" in home.run("preview", "A-100")
    assert "is not known" in home.run("preview", "NOBODY", status=1)


def test_dead_letters_are_listed_shown_mended_and_set_aside_and_the_mended_one_is_billed(
    home: Home, tmp_path: Path
) -> None:
    letters = home.json("dlq", "list", "--agent", "usage")
    assert len(letters) == 12
    (floating,) = home.json("dlq", "list", "--reason", "float_amount")
    shown = home.json("dlq", "show", str(floating["id"]))
    assert json.loads(shown["value"])["data"] == {"calls": 1.5}
    assert "write it as a string" in home.run("dlq", "show", str(floating["id"]))
    body = tmp_path / "mended.json"
    body.write_text(json.dumps(MENDED))
    assert "published again" in home.run("dlq", "replay", str(floating["id"]), "--value", str(body))
    others = [str(letter["id"]) for letter in letters if letter["id"] != floating["id"]]
    assert home.run("dlq", "discard", *others).count("set aside") == 11
    assert home.json("dlq", "list", "--agent", "usage") == []
    assert "nothing was done" in home.run("dlq", "replay", "999999", status=1)
    assert "none of malformed_json" in home.run("dlq", "list", "--reason", "bad luck", status=2)

    statement = home.json("statement", "A-100")
    payments = [line for line in read_lines(CASE / "history.jsonl") if line.topic == PAYMENTS.name]
    home.play(payments, datetime(2026, 7, 6, tzinfo=UTC))
    # 13 x 10 calls and the 20 of the mended one: 100 at 2.00, 50 at 1.50, 25 % tax.
    (invoice,) = home.json("invoices", "list")
    assert (invoice["account"], invoice["total"], invoice["open"]) == ("A-100", "343.75", "193.75")
    assert statement[0]["product"] == "API calls"


def test_the_books_are_there_after_down_and_up(home: Home) -> None:
    before = home.json("invoices", "list")
    home.run("down")
    assert "run `fakturo up`" in home.run("invoices", "list", status=2)
    assert [part["state"] for part in home.json("status")["parts"][:2]] == ["stopped", "stopped"]
    home.run("up")
    assert home.json("invoices", "list") == before
    status = home.json("status")
    assert {part["state"] for part in status["parts"]} == {"running"}
    assert status["books"]["invoices"] == 1
    home.play([], datetime(2026, 7, 7, tzinfo=UTC))  # broker and agents go on where they were


def test_an_invoice_is_shown_by_number_and_by_id(home: Home) -> None:
    (invoice,) = home.json("invoices", "list", "--account", "A-100")
    document = home.json("invoices", "show", invoice["number"])
    assert document == home.json("invoices", "show", invoice["invoice_id"])
    assert [(line["quantity"], line["amount_minor"]) for line in document["lines"]] == [("150", 27_500)]
    text = home.run("invoices", "show", invoice["number"])
    assert "100 at 2.00, 50 at 1.50" in text
    assert "343.75" in text
    assert "there is no invoice" in home.run("invoices", "show", "INV-0", status=1)


def test_the_statement_of_an_account_shows_quantity_and_amount(home: Home) -> None:
    (row,) = home.json("statement", "A-100")
    assert (row["quantity"], row["amount"], row["final"]) == ("150", "275.00", "yes")
    assert "no metered items" in home.run("statement", "NOBODY", status=1)


def test_the_trial_balance_sums_to_zero_and_the_journals_name_their_source(home: Home) -> None:
    legs = home.json("ledger")
    amounts = {f"{leg['account_code']} {leg['party'] or ''}".strip(): (leg["debit"], leg["credit"]) for leg in legs}
    assert amounts == {
        "1020": ("150.00", ""), "1200 A-100": ("193.75", ""), "2100": ("", "68.75"), "4000": ("", "275.00"),
    }  # fmt: skip
    assert "Sum of all balances: 0.00 DKK" in home.run("ledger")
    kinds = [leg["kind"] for leg in home.json("ledger", "--account", "A-100")]
    assert len(kinds) == 3 + 2 + 2


def test_kpis_are_shown_for_the_portfolio_and_an_account(home: Home) -> None:
    assert home.json("kpi")
    assert home.json("kpi", "A-100", "--on", "2026-07-05")
    assert "revenue" in home.run("kpi", "A-100")


CHEAPER = """
currency: DKK
meters:
  calls: {event_type: api.calls, aggregation: sum, value: data.calls}
  requests: {event_type: api.calls, aggregation: count}
products:
  CALLS:
    name: API calls
    meter: METER
    prices:
      - {effective_from: 2027-01-01, model: per_unit, unit_amount: "AMOUNT"}
"""


@pytest.mark.parametrize(
    ("meter", "amount", "simulated_minor"),
    [
        ("calls", "1", 150_00),  # 150 calls
        ("requests", "5", 70_00),  # 13 events of 10 calls and the mended one: a meter that the books never totalled
    ],
)
def test_a_simulation_shows_what_another_price_list_would_have_brought(
    home: Home, tmp_path: Path, meter: str, amount: str, simulated_minor: int
) -> None:
    file, chart = tmp_path / "new.yaml", tmp_path / "chart.svg"
    file.write_text(CHEAPER.replace("METER", meter).replace("AMOUNT", amount))
    question = ("simulate", "--catalog", str(file), "--from", "2026-06-01", "--to", "2026-07-01")
    answer = home.json(*question, "--svg", str(chart))
    (total,) = answer["totals"]
    assert (total["current_minor"], total["billed_minor"]) == (275_00, 275_00)
    assert total["simulated_minor"] == simulated_minor
    assert answer["problems"] == []
    assert chart.read_text().startswith("<svg")
    assert "275.00" in home.run(*question)
    empty = home.json("simulate", "--catalog", str(file), "--from", "2025-01-01", "--to", "2025-02-01")
    assert empty["customers"] == []
    assert "is not after" in home.run(*question[:3], "--from", "2026-06-01", "--to", "2026-06-01", status=1)
    file.write_text(CHEAPER.replace("METER", "nobody").replace("AMOUNT", "-1"))
    refused = _stdout(home, *question, status=1)
    assert f"{file}:9: products.CALLS.meter: products.CALLS.meter 'nobody' is not a meter of this catalog" in refused
    assert f"{file}:11: products.CALLS.prices[0].unit_amount: unit_amount -1 is below 0" in refused


def test_verify_finds_no_difference_and_one_where_a_figure_was_changed(home: Home) -> None:
    result = home.json("verify")
    assert result["checked"] > 0
    assert result["differences"] == []
    url = settings_of(home.folder).database_url
    change = "UPDATE ledger.balance SET amount_minor = amount_minor + {} WHERE account_code = '4000'"
    _execute(url, change.format(1))
    try:
        assert len(json.loads(_stdout(home, "verify", "--json", status=1))["differences"]) >= 1
    finally:
        _execute(url, change.format(-1))


def test_an_invoice_is_credited_and_written_off_by_command_and_verify_agrees(home: Home) -> None:
    """Of 275.00 and 68.75 tax 75.00 are credited with 18.75; of the rest 150.00 was paid, 100.00 is given up."""
    (invoice,) = home.json("invoices", "list")
    number = invoice["number"]
    assert (invoice["status"], invoice["kind"]) == ("open", "invoice")
    assert "there is no invoice" in home.run("invoices", "void", "INV-0", status=1)
    assert "has 1 lines" in home.run("invoices", "credit", number, "--line", "2=1.00", status=2)
    assert "no amount of DKK" in home.run("invoices", "credit", number, "--line", "1=1.001", status=2)
    assert "is open and can't be approved" in home.run("invoices", "approve", number, status=1)
    for _ in range(2):  # the same request id: done once
        options = ("--line", "1=75.00", "--reason", "slow", "--request-id", "case-1")
        assert home.json("invoices", "credit", number, *options)["id"] == "case-1"
    home.play([], datetime(2026, 7, 8, tzinfo=UTC))
    note, *_ = [row for row in home.json("invoices", "list") if row["kind"] == "credit_note"]
    assert (note["total"], note["corrects"], note["open"]) == ("-93.75", invoice["invoice_id"], None)
    home.run("invoices", "write-off", number, "--reason", "bankrupt")
    home.play([], datetime(2026, 7, 9, tzinfo=UTC))
    shown = home.json("invoices", "show", number)
    assert (shown["status"], shown["open_minor"], shown["written_off_minor"]) == ("uncollectible", 0, 10_000)
    assert shown["credit_notes"] == [note["number"]]
    assert "slow" in home.run("invoices", "show", note["number"])
    assert "uncollectible" in home.run("invoices", "show", number, "--locale", "da")
    assert home.json("verify")["differences"] == []


def test_topics_are_listed_and_made_once(home: Home) -> None:
    assert {row["topic"] for row in home.json("topics", "list")} >= {"billing.usage", "billing.invoices"}
    assert "All topics are there" in home.run("topics", "apply")


def _stdout(home: Home, *arguments: str, status: int) -> str:
    command = [sys.executable, "-m", "fakturo.cli.main", *arguments]
    done = subprocess.run(command, env=home.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    return done.stdout


def _execute(url: str, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SET session_replication_role = replica")  # past the guards of the books
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


def test_credit_coupons_and_points_are_asked_for_once_shown_and_refused_by_the_book(home: Home) -> None:
    grant = ("credits", "grant", "A-100", "100.00", "DKK", "--id", "top-up-1", "--low-balance", "20")
    assert home.json(*grant)["topic"] == "billing.requests"
    home.run(*grant)  # the same again is a repeat
    home.run("coupons", "grant", "A-100", "TEN", "--id", "ten-1", "--percent", "10", "--periods", "3")
    home.run("points", "redeem", "A-100", "5", "--id", "redeem-1")
    home.play([], datetime(2026, 7, 9, tzinfo=UTC))
    (credit,) = home.json("credits", "list", "--account", "A-100")
    assert (credit["grant_id"], credit["kind"], credit["left"]) == ("top-up-1", "prepaid", "100.00")
    (coupon,) = home.json("coupons", "list")
    assert (coupon["code"], coupon["takes_off"], coupon["uses_left"]) == ("TEN", "10 %", 3)
    (letter,) = home.json("dlq", "list", "--reason", "refused_by_book")
    assert "fewer than 5 points" in letter["message"]
    assert "There are no points." in home.run("points", "list")
    assert "needs a --currency" in home.run("coupons", "grant", "A-100", "X", "--id", "x", "--amount", "5", status=2)
    assert "more decimals" in home.run("credits", "grant", "A-100", "0.001", "DKK", "--id", "x", status=2)
    amounts = {leg["account_code"]: (leg["debit"], leg["credit"]) for leg in home.json("ledger")}
    assert (amounts["2300"], amounts["2320"]) == (("100.00", ""), ("", "100.00"))
