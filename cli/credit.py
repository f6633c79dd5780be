"""`fakturo credits|coupons|points ...`: asks for grants and redemptions, and shows what the books have of them.

Place     people -> [this] -> asking (billing.requests); Postgres, one read-only snapshot -> [this] -> table or JSON.
"""

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from fakturo.cli.asking import ask
from fakturo.cli.connect import read_books
from fakturo.cli.output import amount_text, errors, print_rows
from fakturo.engine.errors import PriceError
from fakturo.engine.wallets import exact_minor
from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.requests import (
    COUPON_GRANT_REQUESTED,
    CREDIT_GRANT_REQUESTED,
    POINTS_REDEMPTION_REQUESTED,
    CouponGrant,
    CreditGrant,
    PointsRedemption,
)


def grant_credit(home: Path, grant: CreditGrant, *, as_json: bool) -> int:
    """Ask for credit; return the exit status."""
    try:
        for name in ("amount", "low_balance"):
            text = getattr(grant, name)
            if text is not None:
                exact_minor(text, grant.currency, name)
    except (PriceError, InvalidOperation) as error:
        errors.print(f"fakturo credits: {_sentence(error)}")
        return 2
    return ask(home, CREDIT_GRANT_REQUESTED, grant.grant_id, grant.account, grant, as_json=as_json)


def grant_coupon(home: Path, grant_id: str, account: str, fields: dict[str, Any], *, as_json: bool) -> int:
    """Ask for a coupon of `fields`, amounts in the major unit; return the exit status."""
    currency = fields["currency"]
    try:
        for name in ("amount", "budget"):
            text = fields.pop(name)
            if text is not None and currency is None:
                errors.print(f"fakturo coupons: --{name} needs a --currency")
                return 2
            fields[f"{name}_minor"] = None if text is None else exact_minor(text, currency, name)
        percent = fields["percent"]
        fields["percent"] = None if percent is None else Decimal(percent)
    except (PriceError, InvalidOperation) as error:
        errors.print(f"fakturo coupons: {_sentence(error)}")
        return 2
    if (fields["percent"] is None) == (fields["amount_minor"] is None):
        errors.print("fakturo coupons: give --percent or --amount, one of the two")
        return 2
    grant = CouponGrant(grant_id=grant_id, account=account, coupon=Coupon(**fields))
    return ask(home, COUPON_GRANT_REQUESTED, grant_id, account, grant, as_json=as_json)


def redeem_points(home: Path, redemption: PointsRedemption, *, as_json: bool) -> int:
    """Ask for points to be redeemed; return the exit status."""
    return ask(
        home,
        POINTS_REDEMPTION_REQUESTED,
        redemption.redemption_id,
        redemption.account,
        redemption,
        as_json=as_json,
    )


def list_credits(home: Path, account: str | None, *, as_json: bool) -> None:
    """Show each grant with what is left of it, in the order in which an account's are used up."""
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            "SELECT grant_id, account_id AS account, kind, currency, amount_minor, used_minor, expired_minor, "
            "priority, expires_on, description FROM invoicing.credit_grant WHERE $1::text IS NULL OR account_id = $1 "
            "ORDER BY account_id, currency, kind, priority, expires_on NULLS LAST, grant_id",
            account,
        ),
    )
    shown = [
        {
            **{name: row[name] for name in ("grant_id", "account", "kind", "currency")},
            **{
                name: amount_text(row[f"{name}_minor"], row["currency"], grouped=not as_json)
                for name in ("amount", "used", "expired")
            },
            "left": amount_text(
                row["amount_minor"] - row["used_minor"] - row["expired_minor"], row["currency"], grouped=not as_json
            ),
            **{name: row[name] for name in ("priority", "expires_on", "description")},
        }
        for row in rows
    ]
    print_rows("Credit", shown, empty="There is no credit.", as_json=as_json)


def list_coupons(home: Path, account: str | None, *, as_json: bool) -> None:
    """Show who has which coupon, how often it was used, and what is left of its budget."""
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            "SELECT h.code, h.account_id AS account, h.subscription_id AS subscription, h.content::text AS content, "
            "h.used_count, h.uses_max, b.budget_minor - b.spent_minor AS budget_left_minor, b.currency, "
            "coalesce((SELECT sum(u.amount_minor) FROM invoicing.coupon_use u WHERE u.holder_id = h.holder_id), 0) "
            "AS saved_minor FROM invoicing.coupon_holder h LEFT JOIN invoicing.coupon_budget b USING (code) "
            "WHERE $1::text IS NULL OR h.account_id = $1 ORDER BY h.account_id, h.code, h.holder_id",
            account,
        ),
    )
    shown = [
        {
            **{name: row[name] for name in ("code", "account", "subscription")},
            "takes_off": _takes_off(msgspec.json.decode(row["content"], type=Coupon), grouped=not as_json),
            "used": row["used_count"],
            "uses_left": None if row["uses_max"] is None else row["uses_max"] - row["used_count"],
            "budget_left": None
            if row["budget_left_minor"] is None or row["currency"] is None
            else amount_text(row["budget_left_minor"], row["currency"], grouped=not as_json),
        }
        for row in rows
    ]
    print_rows("Coupons", shown, empty="There are no coupons.", as_json=as_json)


def list_points(home: Path, account: str | None, *, as_json: bool) -> None:
    """Show each lot of points: earned, asked for, redeemed, expired, free."""
    rows = read_books(
        home,
        lambda connection: connection.fetch(
            "SELECT account_id AS account, programme, lot_id AS invoice_id, earned_on, expires_on, points, "
            "claimed - redeemed AS asked_for, redeemed, expired, points - claimed - expired AS free "
            "FROM invoicing.point_lot WHERE $1::text IS NULL OR account_id = $1 "
            "ORDER BY account_id, earned_on, lot_id",
            account,
        ),
    )
    print_rows("Points", [dict(row) for row in rows], empty="There are no points.", as_json=as_json)


def _takes_off(coupon: Coupon, *, grouped: bool) -> str:
    if coupon.amount_minor is not None and coupon.currency is not None:
        return f"{amount_text(coupon.amount_minor, coupon.currency, grouped=grouped)} {coupon.currency}"
    return f"{coupon.percent} %"


def _sentence(error: Exception) -> str:
    return error.message if isinstance(error, PriceError) else "an amount is not a decimal number such as 12.50"
