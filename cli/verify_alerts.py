"""Checks the alerts of usage: each is justified by a statement, and none is missing.

Place     usage.threshold_alert, final_statement, statement, invoicing.final_statement -> [this] -> differences.
Final     of the statements of a period, in the order of their revisions, the first that reaches a threshold that it
          names, and that the one before it was below, must have told of it; an alert that says it was told by a final
          statement must be such a one. What the usage agent noted of each must be what invoicing was told.
Running   an alert of a running statement stands also where usage was taken back later: a note says how many did. The
          newest running statement of a period must have told of all that it reaches, unless it is about to be renewed.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any, NamedTuple

import asyncpg
import msgspec

from fakturo.cli.verify_result import Verification
from fakturo.schemas.events.contracts import AlertThreshold, SubscriptionItem

_ALERTS = "SELECT * FROM usage.threshold_alert ORDER BY subscription_item, period_start_at, kind, threshold"
_FINALS = """
SELECT f.subscription_item, f.period_start_at, f.revision, f.quantity, f.amount_minor, f.alerts,
       (i.content ->> 'quantity')::numeric AS told_quantity, (i.content ->> 'amount_minor')::bigint AS told_minor
  FROM usage.final_statement f
  LEFT JOIN invoicing.final_statement i USING (subscription_item, period_start_at, revision)
 WHERE f.quantity IS NOT NULL
 ORDER BY f.subscription_item, f.period_start_at, f.revision
"""
_RUNNING = """
SELECT s.subscription_item, s.period_start_at, s.quantity, s.amount_minor, i.content
  FROM usage.statement s
  JOIN usage.subscription_item i USING (subscription_item)
 WHERE NOT s.final AND i.content ->> 'alerts' <> '[]' AND i.period_start_at = s.period_start_at
   AND NOT EXISTS (SELECT FROM usage.dirty d WHERE d.account_id = i.account_id AND d.meter_id = i.meter_id
       AND d.since_at IS NOT NULL)
"""


class _Key(NamedTuple):
    """An item, the start of its period, and a threshold of a kind; one of an amount is in minor units."""

    item: str
    start_at: Any
    kind: str
    threshold: Decimal

    @property
    def name(self) -> str:
        """Return what a difference calls it."""
        return f"alert at {self.kind} {self.threshold:f} of {self.item} from {self.start_at:%Y-%m-%d}"


async def verify_alerts(connection: asyncpg.Connection, result: Verification) -> None:
    """Compare the alerts that were said with those that the statements ask for."""
    said = {
        _Key(row["subscription_item"], row["period_start_at"], row["kind"], row["threshold"]): row
        for row in await connection.fetch(_ALERTS)
    }
    by_final = _asked_by_finals(await connection.fetch(_FINALS), result)
    asked = set(by_final) | _asked_by_running(await connection.fetch(_RUNNING))
    for key in sorted(asked):
        result.compare("alerts", key.name, "said", "said" if key in said else "missing")
    for key, row in said.items():
        if row["final"]:
            result.compare("alerts", f"statement behind {key.name}", "reached", _reached(key in by_final))
    taken_back = len(said.keys() - asked)
    if taken_back:
        result.note(taken_back, "alerts of running statements that no later statement reaches (usage was taken back)")


def _asked_by_finals(rows: list[asyncpg.Record], result: Verification) -> set[_Key]:
    periods: dict[tuple[str, Any], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        periods[row["subscription_item"], row["period_start_at"]].append(row)
        if row["told_quantity"] is not None:
            name = f"statement {row['revision']} of {row['subscription_item']} from {row['period_start_at']:%Y-%m-%d}"
            result.compare("usage", f"quantity of {name}", row["told_quantity"], row["quantity"])
            result.compare("usage", f"amount of {name}", row["told_minor"], row["amount_minor"])
    asked: set[_Key] = set()
    for (item, start_at), finals in periods.items():
        for number, row in enumerate(finals):
            before = finals[number - 1] if number else None
            for kind, threshold in _thresholds(row["alerts"]):
                was_below = before is None or before[_COLUMN[kind]] < threshold
                if was_below and row[_COLUMN[kind]] >= threshold:
                    asked.add(_Key(item, start_at, kind, threshold))
    return asked


def _asked_by_running(rows: list[asyncpg.Record]) -> set[_Key]:
    asked: set[_Key] = set()
    for row in rows:
        item = msgspec.json.decode(row["content"], type=SubscriptionItem)
        for kind, threshold in _figures(item.alerts):
            if row[_COLUMN[kind]] >= threshold:
                asked.add(_Key(row["subscription_item"], row["period_start_at"], kind, threshold))
    return asked


_COLUMN = {"quantity": "quantity", "amount": "amount_minor"}


def _thresholds(alerts: str | None) -> list[tuple[str, Decimal]]:
    return _figures(msgspec.json.decode(alerts, type=tuple[AlertThreshold, ...])) if alerts else []


def _figures(alerts: tuple[AlertThreshold, ...]) -> list[tuple[str, Decimal]]:
    return [
        ("quantity", one.quantity) if one.quantity is not None else ("amount", Decimal(one.amount_minor or 0))
        for one in alerts
    ]


def _reached(is_so: bool) -> str:
    return "reached" if is_so else "not reached"
