"""An account's record to the account with a version for every change that matters. Pure.

Place     publication -> [this] -> `AccountChanged`.
Payer     an account with a parent and consolidated billing is billed to the parent: one level, and only once the
          parent is an account of ours. Until then the version waits; so does an account that has no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fakturo.consumers.contracts.history import Moment, RecordHistory, first_filled
from fakturo.consumers.contracts.problems import Problem
from fakturo.consumers.contracts.profile import AccountFields, Profile
from fakturo.consumers.contracts.values import Unclear, decimal_of, flag, text_of
from fakturo.schemas.events.contracts import AccountChanged, AccountVersion

TERMS_DAYS_MAX = 3650
"""More is a slip of the pen, and a due date beyond the calendar would stop every bill."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDefaults:
    """What holds where an account names nothing: the seller's zone, the catalog's currency (None without a catalog)."""

    timezone: str
    currency: str | None


@dataclass(frozen=True, slots=True)
class Parents:
    """Account ids of parents by record id; `circular` are accounts whose payers lead back to themselves."""

    ids: Mapping[str, str] = field(default_factory=dict)
    circular: frozenset[str] = frozenset()


def canonical_id(history: RecordHistory, profile: Profile) -> str | None:
    """Return the account id that the record asks for: its external key, else its record id.

    None where only changes of the record have arrived and none named the key: it may still have one.
    """
    key = str(history.value(profile.account.id) or "").strip()
    return key or (history.record_id if history.seen_whole else None)


def payer_record(history: RecordHistory, fields: AccountFields) -> str | None:
    """Return the record id of the parent that is billed for the account now, or None where it pays for itself."""
    return text_of(history.value(fields.parent)) if flag(history.value(fields.consolidated)) else None


def map_account(
    history: RecordHistory,
    account: str,
    profile: Profile,
    defaults: AccountDefaults,
    parents: Parents = Parents(),
) -> tuple[AccountChanged | None, list[Problem]]:
    """Return the account with a version for every change that matters, or None and what is missing."""
    fields = profile.account
    versions: list[AccountVersion] = []
    problem: str | None = "has no values yet"
    for moment in history.timeline(fields.versions):
        try:
            built = _account_version(moment, history.record_id, fields, defaults, parents)
        except Unclear as unclear:
            problem = str(unclear)
            continue
        problem = None
        if not (versions and _same_terms(versions[-1], built)):
            versions.append(built)
    problems = [Problem("Account", history.record_id, f"Account {account} {problem}.")] if problem else []
    problems += [Problem("Account", history.record_id, f"Account {account} {text}.") for text in history.unclear]
    if history.gap:
        text = f"Account {account}: Salesforce reported {history.gap} without its content; read the record again."
        problems.append(Problem("Account", history.record_id, text))
    if not versions or history.unclear:
        return None, problems
    recorded_at = max(version.recorded_at for version in versions)
    mapped = AccountChanged(
        account=account, salesforce_id=history.record_id, versions=tuple(versions), recorded_at=recorded_at
    )
    return mapped, problems


def local_day(account: AccountChanged, at: datetime) -> date:
    """Return the date of `at` in the zone that the account had then."""
    version = account.versions[0]
    for candidate in account.versions[1:]:
        if candidate.effective_at <= at:
            version = candidate
    return at.astimezone(ZoneInfo(version.timezone)).date()


def _account_version(
    moment: Moment, record_id: str, fields: AccountFields, defaults: AccountDefaults, parents: Parents
) -> AccountVersion:
    """Return what the account was from `moment` on.

    Raises:
        Unclear: something is missing or wrong.
    """
    values = moment.values
    name = first_filled(values, fields.name)
    timezone = str(first_filled(values, fields.timezone) or defaults.timezone)
    currency = first_filled(values, fields.currency) or defaults.currency
    if not name:
        raise Unclear("has no name yet")
    if not _is_zone(timezone):
        raise Unclear(f"has the time zone {timezone!r}, which is none of the IANA list; correct {fields.timezone[0]}")
    if currency is None:
        raise Unclear(f"has no currency: fill {fields.currency[0]} or set a catalog")
    return AccountVersion(
        effective_at=moment.effective_at,
        recorded_at=moment.recorded_at,
        name=str(name),
        timezone=timezone,
        terms_days=_terms_days(values, fields),
        currency=str(currency),
        country=text_of(first_filled(values, fields.country)),
        vat_id=text_of(first_filled(values, fields.vat_id)),
        locale=text_of(first_filled(values, fields.locale)),
        address=_address(values, fields),
        tax_exempt=flag(first_filled(values, fields.tax_exempt)),
        bill_to=_bill_to(values, record_id, fields, parents),
        split_by_cost_centre=flag(first_filled(values, fields.split_by_cost_centre)),
    )


def _terms_days(values: dict[str, object], fields: AccountFields) -> int:
    terms = decimal_of(first_filled(values, fields.terms_days))
    terms = Decimal(fields.default_terms_days) if terms is None else terms
    if terms != terms.to_integral_value() or not 0 <= terms <= TERMS_DAYS_MAX:
        text = f"a whole number up to {TERMS_DAYS_MAX}"
        raise Unclear(f"has payment terms of {terms} days; correct {fields.terms_days[0]} to {text}")
    return int(terms)


def _bill_to(values: dict[str, object], record_id: str, fields: AccountFields, parents: Parents) -> str | None:
    if not flag(first_filled(values, fields.consolidated)):
        return None
    parent = text_of(first_filled(values, fields.parent))
    if parent is None:
        raise Unclear(f"is billed to its parent, but has none: fill {fields.parent[0]}")
    if record_id in parents.circular:
        raise Unclear(f"is billed to its parent {parent}, whose own payers lead back to it; correct {fields.parent[0]}")
    if parent not in parents.ids:
        raise Unclear(f"waits for its parent {parent}, to which it is billed and which is not known or not complete")
    return parents.ids[parent]


def _address(values: dict[str, object], fields: AccountFields) -> str | None:
    """Return "Vestergade 1, 8000 Aarhus C" of the parts that are filled, None where none is."""
    street, postal_code, city = (
        text_of(first_filled(values, names)) for names in (fields.street, fields.postal_code, fields.city)
    )
    town = " ".join(part for part in (postal_code, city) if part)
    lines = [*(street.splitlines() if street else []), town]
    return ", ".join(line.strip() for line in lines if line.strip()) or None


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _same_terms(one: AccountVersion, other: AccountVersion) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in AccountVersion.__struct_fields__
        if name not in ("effective_at", "recorded_at")
    )
