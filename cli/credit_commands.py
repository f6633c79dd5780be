"""The subjects `credits`, `coupons` and `points` of the `fakturo` command, as typer sees them."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from fakturo.schemas.events.requests import CreditGrant, PointsRedemption

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program instead of a table.")]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="FAKTURO_HOME", help="Where the embedded stack keeps its books and logs.")
]
HOME = Path(".fakturo")
Account = Annotated[str, typer.Argument(help="The account.")]
OneAccount = Annotated[str | None, typer.Option("--account", help="Only this account.")]
GrantId = Annotated[str, typer.Option("--id", help="The grant's own id: the same again is a repeat.")]
Currency = Annotated[str | None, typer.Option(help="ISO 4217.")]
ExpiresOn = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The first day on which it holds no more.")
]
Priority = Annotated[int, typer.Option(help="Lower goes first.")]

credits = typer.Typer(help="Prepaid and promotional credit.", no_args_is_help=True)  # noqa: A001 - the subject's name
coupons = typer.Typer(help="Coupons: who has them, what they saved.", no_args_is_help=True)
points = typer.Typer(help="Loyalty points.", no_args_is_help=True)


@credits.command("grant")
def credits_grant(
    account: Account,
    amount: Annotated[str, typer.Argument(help='In the major unit: "100.00".')],
    currency: Annotated[str, typer.Argument(help="ISO 4217.")],
    grant_id: GrantId,
    promotional: Annotated[bool, typer.Option(help="A gift: lowers net amounts instead of paying totals.")] = False,
    description: Annotated[str, typer.Option(help="What the invoice says.")] = "",
    priority: Priority = 100,
    expires_on: ExpiresOn = None,
    low_balance: Annotated[str | None, typer.Option(help="Tell when the balance falls below this.")] = None,
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Give an account credit: prepaid, which pays totals, or promotional."""
    from fakturo.cli import credit

    grant = CreditGrant(
        grant_id=grant_id,
        account=account,
        currency=currency,
        amount=amount,
        kind="promotional" if promotional else "prepaid",
        description=description,
        priority=priority,
        expires_on=expires_on.date() if expires_on else None,
        low_balance=low_balance,
    )
    raise typer.Exit(credit.grant_credit(home, grant, as_json=as_json))


@credits.command("list")
def credits_list(account: OneAccount = None, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """List grants with what is left of each, in the order in which they are used up."""
    from fakturo.cli import credit

    credit.list_credits(home, account, as_json=as_json)


@coupons.command("grant")
def coupons_grant(
    account: Account,
    code: Annotated[str, typer.Argument(help="The coupon's code.")],
    grant_id: GrantId,
    percent: Annotated[str | None, typer.Option(help='"10" takes 10 % off.')] = None,
    amount: Annotated[str | None, typer.Option(help="Takes this off, in the major unit.")] = None,
    currency: Currency = None,
    once: Annotated[bool, typer.Option(help="On one invoice (the default).")] = False,
    periods: Annotated[int | None, typer.Option(help="On so many invoices.", min=1)] = None,
    forever: Annotated[bool, typer.Option(help="On every invoice.")] = False,
    budget: Annotated[str | None, typer.Option(help="What all customers together may save, in the major unit.")] = None,
    product: Annotated[list[str] | None, typer.Option(help="Only lines of this product; again for more.")] = None,
    priority: Priority = 100,
    alone: Annotated[bool, typer.Option(help="Does not stack with other coupons.")] = False,
    expires_on: ExpiresOn = None,
    description: Annotated[str, typer.Option(help="What the invoice says.")] = "",
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Give an account a coupon from its next invoice on."""
    from fakturo.cli import credit

    if once + forever + (periods is not None) > 1:
        raise typer.BadParameter("give one of --once, --periods and --forever")
    fields = {
        "code": code,
        "description": description or code,
        "percent": percent,
        "amount": amount,
        "currency": currency,
        "duration": "forever" if forever else "periods" if periods else "once",
        "periods": periods,
        "budget": budget,
        "products": tuple(product or ()),
        "priority": priority,
        "stackable": not alone,
        "expires_on": expires_on.date() if expires_on else None,
    }
    raise typer.Exit(credit.grant_coupon(home, grant_id, account, fields, as_json=as_json))


@coupons.command("list")
def coupons_list(account: OneAccount = None, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """List who has which coupon and what is left of it."""
    from fakturo.cli import credit

    credit.list_coupons(home, account, as_json=as_json)


@points.command("redeem")
def points_redeem(
    account: Account,
    number: Annotated[int, typer.Argument(metavar="POINTS", min=1, help="How many.")],
    redemption_id: Annotated[str, typer.Option("--id", help="The redemption's own id: the same again is a repeat.")],
    home: HomeOption = HOME,
    as_json: AsJson = False,
) -> None:
    """Redeem points of an account as a discount on its next invoice."""
    from fakturo.cli import credit

    asked = PointsRedemption(redemption_id=redemption_id, account=account, points=number)
    raise typer.Exit(credit.redeem_points(home, asked, as_json=as_json))


@points.command("list")
def points_list(account: OneAccount = None, home: HomeOption = HOME, as_json: AsJson = False) -> None:
    """List lots of points: earned, asked for, redeemed, expired, free."""
    from fakturo.cli import credit

    credit.list_points(home, account, as_json=as_json)
