"""Requests for credit: a coupon granted, prepaid or promotional credit granted, points redeemed; each once.

Place     requests -> [this] -> the books of coupons, credit and points -> outbox (billing.invoices).
Once      the id of a grant or redemption is its identity: the same again is a repeat, another under it a conflict.
Refused   by the book: a redemption of more points than there are is tried in a savepoint, a CHECK refuses it, and the
          request is a dead letter, `refused_by_book`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import asyncpg

from fakturo.consumers.invoicing import coupon_store, credit_alerts, credit_store, point_store
from fakturo.consumers.runtime.records import Record
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.engine.errors import PriceError
from fakturo.engine.loyalty import claim
from fakturo.engine.money import exponent_of
from fakturo.engine.wallets import exact_minor
from fakturo.schemas.codec import encode
from fakturo.schemas.dead_letters import DeadLetterReason as Reason
from fakturo.schemas.envelope import Event, event_of
from fakturo.schemas.errors import SchemaError
from fakturo.schemas.events.contracts import Coupon
from fakturo.schemas.events.credit import CREDIT_GRANTED, CreditMovement
from fakturo.schemas.events.requests import (
    COUPON_GRANT_REQUESTED,
    CREDIT_GRANT_REQUESTED,
    POINTS_REDEMPTION_REQUESTED,
    CouponGrant,
    CreditGrant,
    PointsRedemption,
)
from fakturo.schemas.topics import INVOICES

TYPES = frozenset({COUPON_GRANT_REQUESTED, CREDIT_GRANT_REQUESTED, POINTS_REDEMPTION_REQUESTED})
AMOUNT_MINOR_MAX = 10**15
POINTS_MAX = 10**15
DURATIONS = frozenset({"once", "periods", "forever"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it was read."""

    record: Record
    event: Event[Any]


async def apply(requests: Sequence[Request], tx: Transaction) -> None:
    """Do what `requests` ask for, in their order; reject what is bad or refused by the book."""
    for request in requests:
        try:
            known = await _do(request, tx)
        except SchemaError as error:
            tx.reject(request.record, error.reason, str(error))
            continue
        if known is None:
            tx.count(request.record.topic, "applied")
        elif known == _digest(request):
            tx.count(request.record.topic, "duplicate")
        else:
            message = (
                f"{request.event.subject!r} asked before under this id for something else; give it an id of its own"
            )
            tx.reject(request.record, Reason.IDENTITY_CONFLICT, message)


async def _do(request: Request, tx: Transaction) -> bytes | None:
    """Do what is asked; return None, or the digest of what was asked before under the same id."""
    match request.event.data:
        case CouponGrant() as grant:
            return await _grant_coupon(grant, request, tx)
        case CreditGrant() as credit:
            return await _grant_credit(credit, request, tx)
        case PointsRedemption() as redemption:
            return await _redeem(redemption, request, tx)
        case _:
            raise SchemaError(Reason.UNKNOWN_TYPE, f"{request.event.type!r} asks for no credit", "$.type")


async def _grant_coupon(grant: CouponGrant, request: Request, tx: Transaction) -> bytes | None:
    check_coupon(grant.coupon)
    holder_id = f"grant/{grant.grant_id}"
    is_new = await coupon_store.keep_holder(
        tx.driver,
        holder_id,
        grant.account,
        grant.coupon,
        known_watermark_at=request.record.watermark_at,
        digest=_digest(request),
    )
    return None if is_new else await coupon_store.digest_of(tx.driver, holder_id)


def check_coupon(coupon: Coupon) -> None:
    """Refuse a coupon that means nothing.

    Raises:
        SchemaError: it has both or neither of percent and amount, no currency where it needs one, or no sense.
    """
    where = "$.data.coupon"
    if (coupon.percent is None) == (coupon.amount_minor is None):
        raise SchemaError(Reason.INVALID_AMOUNT, "a coupon has a percent or an amount_minor, one of the two", where)
    if coupon.percent is not None and not 0 < coupon.percent <= 100:
        raise SchemaError(
            Reason.INVALID_AMOUNT, f"{coupon.percent} % is not above 0 and at most 100", f"{where}.percent"
        )
    for name in ("amount_minor", "budget_minor"):
        amount = getattr(coupon, name)
        if amount is None:
            continue
        if not 0 < amount <= AMOUNT_MINOR_MAX:
            raise SchemaError(Reason.INVALID_AMOUNT, f"{name} {amount} is out of range", f"{where}.{name}")
        if coupon.currency is None:
            raise SchemaError(Reason.UNKNOWN_CURRENCY, f"{name} needs a currency", f"{where}.currency")
    if coupon.currency is not None:
        _check_currency(coupon.currency, f"{where}.currency")
    if coupon.duration not in DURATIONS:
        names = ", ".join(sorted(DURATIONS))
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"duration {coupon.duration!r} is none of {names}", f"{where}.duration")
    if (coupon.duration == "periods") != (coupon.periods is not None) or (coupon.periods or 1) < 1:
        raise SchemaError(
            Reason.UNKNOWN_SHAPE, "periods, 1 or more, goes with the duration 'periods'", f"{where}.periods"
        )


async def _grant_credit(credit: CreditGrant, request: Request, tx: Transaction) -> bytes | None:
    _check_currency(credit.currency, "$.data.currency")
    if credit.kind not in {"prepaid", "promotional"}:
        raise SchemaError(Reason.UNKNOWN_SHAPE, f"kind {credit.kind!r} is not prepaid or promotional", "$.data.kind")
    amount = _amount(credit.amount, credit.currency, "$.data.amount")
    if amount <= 0:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{credit.amount} is not above 0", "$.data.amount")
    threshold = (
        None if credit.low_balance is None else _amount(credit.low_balance, credit.currency, "$.data.low_balance")
    )
    if threshold is not None and threshold < 0:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{credit.low_balance} is below 0", "$.data.low_balance")
    row = credit_store.GrantRow(
        grant_id=credit.grant_id,
        account_id=credit.account,
        currency=credit.currency,
        kind=credit.kind,
        description=credit.description,
        priority=credit.priority,
        expires_on=credit.expires_on,
        amount_minor=amount,
    )
    known = await credit_store.insert_grant(tx.driver, row, request.record.watermark_at, _digest(request))
    if known is None:
        await _tell_granted(row, request, tx)
        if threshold is not None:
            await credit_store.keep_alert(tx.driver, row.account_id, row.currency, threshold)
        on = request.event.time.astimezone(UTC).date()
        await credit_alerts.tell(tx, row.account_id, row.currency, effective_on=on, at=request.event.time)
    return known


async def _tell_granted(row: credit_store.GrantRow, request: Request, tx: Transaction) -> None:
    recorded_at = request.event.recordedat or request.record.recorded_at
    movement = CreditMovement(
        grant_id=row.grant_id,
        account=row.account_id,
        currency=row.currency,
        kind=row.kind,
        amount_minor=row.amount_minor,
        balance_minor=await credit_store.balance_minor(tx.driver, row.account_id, row.currency, row.kind),
        effective_on=request.event.time.astimezone(UTC).date(),
        expires_on=row.expires_on,
        description=row.description,
        recorded_at=recorded_at,
    )
    event = event_of(
        agent=tx.agent,
        event_type=CREDIT_GRANTED,
        id=f"{row.grant_id}/granted",
        subject=row.account_id,
        time=request.event.time,
        data=movement,
        recorded_at=recorded_at,
    )
    tx.emit(INVOICES, event, account=row.account_id)


async def _redeem(redemption: PointsRedemption, request: Request, tx: Transaction) -> bytes | None:
    if not 0 < redemption.points <= POINTS_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{redemption.points} points can't be redeemed", "$.data.points")
    try:
        async with tx.driver.transaction():
            known = await point_store.insert_redemption(
                tx.driver,
                redemption.redemption_id,
                redemption.account,
                redemption.points,
                request.record.watermark_at,
                _digest(request),
            )
            if known is None:
                await point_store.take_points(tx.driver, redemption.account, redemption.points)
                lots = await point_store.lock_free_lots(tx.driver, redemption.account)
                claims = claim(lots, redemption.points)
                await point_store.save_claims(tx.driver, redemption.redemption_id, redemption.account, claims)
            return known
    except asyncpg.CheckViolationError as error:
        message = (
            f"account {redemption.account!r} has fewer than {redemption.points} points left ({error.constraint_name})"
        )
        raise SchemaError(Reason.REFUSED_BY_BOOK, message, "$.data.points") from error


def _amount(text: str, currency: str, path: str) -> int:
    try:
        minor = exact_minor(text, currency, path)
    except PriceError as error:
        raise SchemaError(Reason.INVALID_AMOUNT, error.message, path) from error
    if abs(minor) > AMOUNT_MINOR_MAX:
        raise SchemaError(Reason.INVALID_AMOUNT, f"{text} is out of range", path)
    return minor


def _check_currency(currency: str, path: str) -> None:
    try:
        exponent_of(currency, path)
    except PriceError as error:
        raise SchemaError(Reason.UNKNOWN_CURRENCY, error.message, path) from error


def _digest(request: Request) -> bytes:
    return hashlib.sha256(encode([request.event.type, request.event.data])).digest()
