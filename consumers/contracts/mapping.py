"""CRM records to accounts and subscriptions: pure, and a function of the records' histories alone.

Place     publication -> [this] (accounts here, items in items.py) -> `AccountChanged`, `Subscription`.
Problem   what cannot be mapped yet becomes a sentence for an administrator; the rest goes on without it.
Days      Salesforce's last days are inclusive, ours exclusive; a commit's day is taken in the account's zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakturo.consumers.contracts.history import Moment, RecordHistory, first_filled
from fakturo.consumers.contracts.items import ItemContext, day_after, map_item
from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import AccountFields, Profile
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion, Subscription, SubscriptionItem

TERMS_DAYS_MAX = 3650
"""More is a slip of the pen, and a due date beyond the calendar would stop every bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDefaults:
    """What holds where an account names nothing: the seller's zone, the catalog's currency (None without a catalog)."""

    timezone: str
    currency: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRecords:
    """The records that one subscription is made of; `order` is None where only items of it have arrived."""

    order_id: str
    order: RecordHistory | None
    items: Sequence[RecordHistory]
    products: Mapping[str, RecordHistory]


def canonical_id(history: RecordHistory, profile: Profile) -> str | None:
    """Return the account id that the record asks for: its external key, else its record id.

    None where only changes of the record have arrived and none named the key: it may still have one.
    """
    key = str(history.value(profile.account.id) or "").strip()
    return key or (history.record_id if history.seen_whole else None)


def map_account(
    history: RecordHistory, account: str, profile: Profile, defaults: AccountDefaults
) -> tuple[AccountChanged | None, list[Problem]]:
    """Return the account with a version for every change that matters, or None and what is missing."""
    fields = profile.account
    versions: list[AccountVersion] = []
    problem: str | None = "has no values yet"
    for moment in history.timeline(_version_fields(fields)):
        built = _account_version(moment, fields, defaults)
        problem = built if isinstance(built, str) else None
        if isinstance(built, AccountVersion) and not (versions and _same_terms(versions[-1], built)):
            versions.append(built)
    problems = [Problem("Account", history.record_id, f"Account {account} {problem}.")] if problem else []
    if history.gap:
        text = f"Account {account}: Salesforce reported {history.gap} without its content; read the record again."
        problems.append(Problem("Account", history.record_id, text))
    if not versions:
        return None, problems
    recorded_at = max(version.recorded_at for version in versions)
    mapped = AccountChanged(
        account=account, salesforce_id=history.record_id, versions=tuple(versions), recorded_at=recorded_at
    )
    return mapped, problems


def _version_fields(fields: AccountFields) -> tuple[str, ...]:
    return (
        *fields.name,
        *fields.country,
        *fields.timezone,
        *fields.terms_days,
        *fields.currency,
        *fields.vat_id,
        *fields.locale,
    )


def _account_version(moment: Moment, fields: AccountFields, defaults: AccountDefaults) -> AccountVersion | str:
    """Return what the account was from `moment` on, or what is wrong with it."""
    values = moment.values
    name = first_filled(values, fields.name)
    timezone = str(first_filled(values, fields.timezone) or defaults.timezone)
    currency = first_filled(values, fields.currency) or defaults.currency
    terms = Decimal(str(first_filled(values, fields.terms_days) or fields.default_terms_days))
    if first_filled(values, fields.terms_days) in (0, "0"):
        terms = Decimal(0)
    if not name:
        return "has no name yet"
    if not _is_zone(timezone):
        return f"has the time zone {timezone!r}, which is none of the IANA list; correct {fields.timezone[0]}"
    if currency is None:
        return f"has no currency: fill {fields.currency[0]} or set a catalog"
    if terms != terms.to_integral_value() or not 0 <= terms <= TERMS_DAYS_MAX:
        text = f"a whole number up to {TERMS_DAYS_MAX}"
        return f"has payment terms of {terms} days; correct {fields.terms_days[0]} to {text}"
    return AccountVersion(
        effective_at=moment.effective_at,
        recorded_at=moment.recorded_at,
        name=str(name),
        timezone=timezone,
        terms_days=int(terms),
        currency=str(currency),
        country=_text(first_filled(values, fields.country)),
        vat_id=_text(first_filled(values, fields.vat_id)),
        locale=_text(first_filled(values, fields.locale)),
    )


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _same_terms(one: AccountVersion, other: AccountVersion) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in AccountVersion.__struct_fields__
        if name not in ("effective_at", "recorded_at")
    )


def local_day(account: AccountChanged, at: datetime) -> date:
    """Return the date of `at` in the zone that the account had then."""
    version = account.versions[0]
    for candidate in account.versions[1:]:
        if candidate.effective_at <= at:
            version = candidate
    return at.astimezone(ZoneInfo(version.timezone)).date()


def map_subscription(
    records: SubscriptionRecords, account: AccountChanged | None, offers: Offers, profile: Profile
) -> tuple[Subscription | None, list[Problem]]:
    """Return the subscription with every item that is complete, or None; and a sentence for all that is not.

    A subscription exists from its order's first activation on; deactivation and deletion end it, on the local day of
    that commit, but never before it began. An order that never was activated is no subscription.
    """
    order, fields = records.order, profile.subscription
    problem = _order_problem(records, account, offers, profile)
    if problem is not None or order is None or account is None:
        return None, [problem] if problem else []
    activated_at = _activated_at(order, profile)
    if activated_at is None:
        return None, [Problem("Order", records.order_id, f"Order {records.order_id} is not activated.")]
    started_on = date.fromisoformat(order.value(fields.first_day))
    last_day = order.value(fields.last_day)
    planned_end_on = day_after(last_day) if last_day else None
    closed_on = _closed_on(order, account, started_on, profile)
    context = ItemContext(
        account=account.account,
        day_of=lambda at: local_day(account, at),
        started_on=started_on,
        ended_on=planned_end_on,
        closed_on=closed_on,
        agreed_at=activated_at,
        offers=offers,
        fields=profile.item,
        product_code=profile.product.code,
        products=records.products,
    )
    items, problems = _map_items(records.items, context)
    if not items and closed_on is None:
        problems.append(Problem("Order", order.record_id, f"Order {order.record_id} has no item that can be billed."))
        return None, problems
    if order.gap:
        text = f"Order {order.record_id}: Salesforce reported {order.gap} without its content; read the record again."
        problems.append(Problem("Order", order.record_id, text))
    ends = [day for day in (planned_end_on, closed_on) if day is not None]
    used = [order, *records.items, *records.products.values()]
    mapped = Subscription(
        subscription_id=order.record_id,
        account=account.account,
        currency=offers.currency or "",
        started_on=started_on,
        ended_on=min(ends) if ends else None,
        items=tuple(items),
        recorded_at=max(history.recorded_at for history in used),
    )
    return mapped, problems


def _map_items(
    histories: Sequence[RecordHistory], context: ItemContext
) -> tuple[list[SubscriptionItem], list[Problem]]:
    items: list[SubscriptionItem] = []
    problems: list[Problem] = []
    for history in sorted(histories, key=lambda found: found.record_id):
        mapped = map_item(history, context)
        if isinstance(mapped, Problem):
            problems.append(mapped)
        elif mapped is not None:
            items.append(mapped)
    return items, problems


def _order_problem(
    records: SubscriptionRecords, account: AccountChanged | None, offers: Offers, profile: Profile
) -> Problem | None:
    """Return why the order as a whole cannot be billed yet, if so."""
    order, fields, name = records.order, profile.subscription, records.order_id
    if order is None:
        return Problem("Order", name, f"Order {name} has not arrived; {len(records.items)} of its items wait for it.")
    if order.value(fields.account) is None:
        return Problem("Order", name, f"Order {name} names no account in {fields.account[0]}.")
    if account is None:
        wanted = order.value(fields.account)
        return Problem(
            "Order", name, f"Order {name} waits for its account {wanted}, which is not known or not complete."
        )
    if order.value(fields.first_day) is None:
        return Problem("Order", name, f"Order {name} has no start: fill {fields.first_day[0]}.")
    if offers.currency is None:
        return Problem("Order", name, f"Order {name} cannot be priced: no catalog is set (FAKTURO_CATALOG).")
    currency = order.value(fields.currency) or offers.currency
    if currency != offers.currency:
        return Problem("Order", name, f"Order {name} is in {currency}, the catalog's prices are in {offers.currency}.")
    return None


def _activated_at(order: RecordHistory, profile: Profile) -> datetime | None:
    for moment in order.timeline(profile.subscription.status):
        if first_filled(moment.values, profile.subscription.status) in profile.subscription.active_statuses:
            return moment.effective_at
    return None


def _closed_on(order: RecordHistory, account: AccountChanged, started_on: date, profile: Profile) -> date | None:
    """Return the first day on which the order no longer held because it was deactivated or deleted, or None."""
    fields = profile.subscription
    inactive_at = order.since(
        lambda values: first_filled(values, fields.status) not in fields.active_statuses, fields.status
    )
    closings = [at for at in (inactive_at, order.deleted_at()) if at is not None]
    return max(started_on, local_day(account, min(closings))) if closings else None
