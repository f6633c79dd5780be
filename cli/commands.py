"""The subjects of the `fakturo` command, as typer sees them: each names its options here and does its work in a file
of its own, imported when asked for, so that `fakturo --help` is quick.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from fakturo.cli.agents import PROCESSES
from fakturo.cli.credit_commands import coupons, credits, points  # noqa: A004 - the subject's name
from fakturo.cli.invoice_commands import invoices
from fakturo.cli.salesforce.commands import salesforce
from fakturo.cli.usage_commands import register

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="FAKTURO_HOME", help="Where the embedded stack keeps its books and logs.")
]
CatalogFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The price list (YAML).")
]
HOME = Path(".fakturo")
INSTANTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]

app = typer.Typer(name="fakturo", help="An event-driven billing engine on Kafka.", no_args_is_help=True)
dead_letters = typer.Typer(help="Dead letters: what could not be processed, and why.", no_args_is_help=True)
topics = typer.Typer(help="The topic map and its creation.", no_args_is_help=True)
catalog = typer.Typer(help="Price books as code: check, compare and publish a price list.", no_args_is_help=True)
bench = typer.Typer(help="Speed and memory, as ratios measured in one run.", no_args_is_help=True)
app.add_typer(invoices, name="invoices")
app.add_typer(dead_letters, name="dlq")
app.add_typer(credits, name="credits")
app.add_typer(coupons, name="coupons")
app.add_typer(points, name="points")
app.add_typer(topics, name="topics")
app.add_typer(catalog, name="catalog")
app.add_typer(salesforce, name="salesforce")
app.add_typer(bench, name="bench")
register(app, bench)


@app.command()
def up(home: HomeOption = HOME) -> None:
    """Bring the stack up with its books: broker and database (embedded unless set), and every agent."""
    from fakturo.cli import lifecycle

    lifecycle.up(home)


@app.command()
def down(home: HomeOption = HOME) -> None:
    """Stop the stack that `up` or `demo` started; its books stay."""
    from fakturo.cli import lifecycle

    lifecycle.down(home)


@app.command()
def status(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Show how far each agent is, what waits, what was dead-lettered, what came late."""
    from fakturo.cli import lifecycle

    lifecycle.status(home, as_json=as_json)


@app.command()
def agent(name: Annotated[str, typer.Argument(help=" | ".join(PROCESSES))]) -> None:
    """Run one process until it is told to stop: an agent, the relay, the clock or the Salesforce bridge."""
    from fakturo.cli.agents import run_agent

    raise typer.Exit(run_agent(name))


@app.command()
def demo(
    home: HomeOption = HOME,
    report: Annotated[Path | None, typer.Option(help="Write the result as JSON to this file.")] = None,
) -> None:
    """Bill a real year of flights: contracts, 336,776 usage events, 192 invoices, payments, ledger and KPIs."""
    from fakturo.cli.demo import run_demo

    raise typer.Exit(run_demo(home, report))


@app.command()
def replay(
    input_file: Annotated[Path, typer.Argument(metavar="INPUT.jsonl", exists=True, dir_okay=False)],
    output: Annotated[Path, typer.Option(help="Folder for one JSONL file a topic, and books.json.")],
    catalog: Annotated[Path | None, typer.Option(exists=True, help="The price list (YAML).")] = None,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Let time reach this date; no billing period starts on or after it."),
    ] = None,
) -> None:
    """Publish a recorded history in order and write down all that comes of it, the same to the byte each time."""
    from fakturo.cli.replay import run_replay

    raise typer.Exit(run_replay(input_file, output, catalog, until.date() if until else None))


@app.command()
def rate(
    file: Annotated[Path | None, typer.Option(help="Read this file instead of standard input.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Add the sentence that a customer reads.")] = False,
    locale: Annotated[str, typer.Option(help="The language of descriptions: en, da or de.")] = "en",
) -> None:
    """Rate JSON Lines: a price and a usage in, the amount and how it came about out. Needs no stack."""
    from fakturo.cli.rate import run_rate  # main.py comes here only for the list of commands

    named = ["--file", str(file)] if file else []
    raise typer.Exit(run_rate([*named, *(["--explain"] if explain else []), "--locale", locale]))


@app.command()
def statement(account: str, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Show what an account has used, what it comes to so far, what comes next, and where the period leads."""
    from fakturo.cli.statement import show_statement

    raise typer.Exit(show_statement(home, account, as_json=as_json))


@app.command()
def ledger(
    account: Annotated[str | None, typer.Option(help="The journals of this account instead of the balances.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Show the trial balance, or the journals of an account."""
    from fakturo.cli import books

    books.show_ledger(home, account, as_json=as_json)


@app.command()
def kpi(
    account: Annotated[str, typer.Argument(help="An account, or `portfolio` for all.")] = "portfolio",
    on: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As of this day.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Show the KPIs of an account or of the portfolio, by window."""
    from fakturo.cli import books

    day: date | None = on.date() if on else None
    books.show_kpis(home, account, day, as_json=as_json)


@app.command()
def preview(account: str, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Show an account's next invoice as it stands now and, at the present pace, at its period's end."""
    from fakturo.cli.preview.command import run_preview

    raise typer.Exit(run_preview(home, account, as_json=as_json))


@app.command()
def simulate(
    catalog: Annotated[Path, typer.Option(help="The price list to try (YAML).", exists=True, dir_okay=False)],
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of the history.")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The day after its last.")],
    svg: Annotated[Path | None, typer.Option(help="Write a chart to this file.", dir_okay=False)] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Rate real history by another price list: what each customer would have paid; nothing is changed."""
    from fakturo.cli.simulate.command import run_simulate

    raise typer.Exit(run_simulate(home, catalog, start.date(), end.date(), svg, as_json=as_json))


@app.command()
def verify(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Recompute every invoice, balance and KPI from the raw events by other means; exit 1 on a difference."""
    from fakturo.cli.verify import run_verify

    raise typer.Exit(run_verify(home, as_json=as_json))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Where REST listens; 0 takes a free port.")] = 0,
    pubsub_port: Annotated[int, typer.Option(help="Where the Pub/Sub API listens; 0 takes a free port.")] = 0,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    name: Annotated[list[str] | None, typer.Option(help="A further host name for the certificate.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Serve without TLS.")] = False,
    metadata: Annotated[
        Path | None, typer.Option(help="Deploy the sfdx package in this folder first.", exists=True, file_okay=False)
    ] = None,
    now: Annotated[
        datetime | None,
        typer.Option(formats=INSTANTS, help="Let it be this instant (UTC) in the org."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and writes give the same ids and keys.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a stand-in for a Salesforce org: REST, Bulk 2.0, SOAP login and the Pub/Sub API, in memory."""
    from fakturo.cli.sandbox.command import run_command

    status = run_command(
        host=host,
        port=port,
        pubsub_port=pubsub_port,
        plain=plain,
        names=name or (),
        metadata=metadata,
        now=now if now is None or now.tzinfo else now.replace(tzinfo=UTC),
        seed=seed,
        as_json=as_json,
    )
    raise typer.Exit(status)


@catalog.command("check")
def catalog_check(file: CatalogFile, as_json: AsJson = False) -> None:
    """Say everything that is wrong with a price list, with file, line and path; exit 1 if anything is."""
    from fakturo.cli.catalog.check import run_check

    raise typer.Exit(run_check(file, as_json=as_json))


@catalog.command("diff")
def catalog_diff(file: CatalogFile, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Show what a price list changes of the one that holds, and whom what is back-dated would touch."""
    from fakturo.cli.catalog.diff import run_diff

    raise typer.Exit(run_diff(home, file, as_json=as_json))


@catalog.command("publish")
def catalog_publish(
    file: CatalogFile,
    by: Annotated[str, typer.Option(envvar="USER", help="Who publishes it, for the book.")] = "",
    allow_backdated: Annotated[
        bool, typer.Option("--allow-backdated", help="Change what was in force before today, knowingly.")
    ] = False,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the contracts agent.", min=0)] = 30.0,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Publish a price list; refused where it is faulty, back-dated, or somebody published in between."""
    from fakturo.cli.catalog.publish import run_publish

    status = run_publish(home, file, by=by, allow_backdated=allow_backdated, wait=wait, as_json=as_json)
    raise typer.Exit(status)


@dead_letters.command("list")
def dead_letters_list(
    home: HomeOption = HOME,
    agent_name: Annotated[str | None, typer.Option("--agent", help="Only of this agent.")] = None,
    reason: Annotated[str | None, typer.Option(help="Only for this reason.")] = None,
    as_json: AsJson = False,
) -> None:
    """List open dead letters."""
    from fakturo.cli import dead_letters as subject

    subject.list_open(home, agent_name, reason, as_json=as_json)


@dead_letters.command("show")
def dead_letters_show(letter: int, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Show one dead letter: what came, what is wrong with it, where."""
    from fakturo.cli import dead_letters as subject

    raise typer.Exit(subject.show(home, letter, as_json=as_json))


@dead_letters.command("replay")
def dead_letters_replay(
    letters: Annotated[list[int], typer.Argument(help="Numbers as `list` shows them.")],
    home: HomeOption = HOME,
    value: Annotated[Path | None, typer.Option(help="Publish this mended body instead (one letter).")] = None,
    as_json: AsJson = False,
) -> None:
    """Publish dead letters on the topic they came from; identity makes it safe to do twice."""
    from fakturo.cli import dead_letters as subject

    raise typer.Exit(subject.replay(home, letters, value, as_json=as_json))


@dead_letters.command("discard")
def dead_letters_discard(letters: list[int], home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Set dead letters aside for good; they stay in the book."""
    from fakturo.cli import dead_letters as subject

    raise typer.Exit(subject.discard(home, letters, as_json=as_json))


@topics.command("list")
def topics_list(as_json: AsJson = False) -> None:
    """Show the topic map: who writes, who reads, key and retention."""
    from fakturo.cli import topics as subject

    subject.show(as_json=as_json)


@topics.command("apply")
def topics_apply(home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """Create the topics that are missing, on FAKTURO_KAFKA or the embedded broker."""
    from fakturo.cli import topics as subject

    subject.apply(home, as_json=as_json)


@app.command()
def migrate(home: HomeOption = HOME) -> None:
    """Bring the database's tables up to date."""
    from fakturo.cli import lifecycle

    lifecycle.migrate(home)


@bench.command("usage")
def bench_usage(
    events: Annotated[int, typer.Option(min=1, help="How many events to publish.")] = 200_000,
    accounts: Annotated[
        int | None, typer.Option(min=1, help="Synthetic accounts, the worst case for totals. Default: the flights.")
    ] = None,
    poison: Annotated[int, typer.Option(min=0, max=20, help="Once more with so many percent of bad events.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=4, help="Once more with two (and four) workers.")] = 2,
    stored: Annotated[int, typer.Option(min=0, help="Once more after a million, and after so many, stored.")] = 0,
    kafka: Annotated[str, typer.Option(help="embedded, or apache: the real one; FAKTURO_KAFKA names another.")] = "",
    as_json: AsJson = False,
) -> None:
    """Measure the usage path beside reading and decoding alone, and beside stock Faust, in one run."""
    from fakturo.cli.bench.usage import Plan, run_bench

    if workers == 3 or kafka not in ("", "embedded", "apache"):
        raise typer.BadParameter("--workers takes 1, 2 or 4, --kafka takes embedded or apache")
    plan = Plan(
        events=events, accounts=accounts, poison=poison, workers=workers, stored=stored, apache=kafka == "apache"
    )
    raise typer.Exit(run_bench(plan, as_json=as_json))


@bench.command("invoices")
def bench_invoices(
    seconds: Annotated[float, typer.Option(help="How long each size is measured, in CPU seconds.")] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Measure how many invoices a second one core builds in the pure engine, by the number of lines."""
    from fakturo.cli.bench.invoices import run_bench

    raise typer.Exit(run_bench(seconds=seconds, as_json=as_json))


@bench.command("salesforce")
def bench_salesforce(
    events: Annotated[int, typer.Option(min=1, help="How many change events the bus is filled with.")] = 50_000,
    rows: Annotated[int, typer.Option(min=1_000, help="How many order items are read whole.")] = 1_000_000,
    as_json: AsJson = False,
) -> None:
    """Measure the Salesforce bridge beside the bare decode, a change's way to its subscription, and a snapshot."""
    from fakturo.cli.bench.salesforce import run_bench

    raise typer.Exit(run_bench(events, rows, as_json=as_json))


@bench.command("simulate")
def bench_simulate(as_json: AsJson = False) -> None:
    """Measure `fakturo simulate` over the flights year."""
    from fakturo.cli.bench.simulate import run_bench

    raise typer.Exit(run_bench(as_json=as_json))


@bench.command("rate")
def bench_rate(
    lines: Annotated[int, typer.Option(help="How many lines to rate.")] = 200_000,
    as_json: AsJson = False,
) -> None:
    """Measure `fakturo rate`: lines a second by the number of tiers, memory at two sizes, beside only decoding."""
    from fakturo.cli.bench.rate import run_bench

    raise typer.Exit(run_bench(lines, as_json=as_json))


@bench.command("year")
def bench_year(as_json: AsJson = False) -> None:
    """Measure the flights year: seconds, events a second, memory of each process."""
    from fakturo.cli.bench.year import run_bench

    raise typer.Exit(run_bench(as_json=as_json))
