"""Answers that are fetched page by page: the org keeps them under a locator.

Place     rest/queries -> [this]; `nextRecordsUrl` carries a locator and the place of the next page.
Rules     A page has 2,000 records, or the 200 to 2,000 that `Sforce-Query-Options: batchSize=` asks for. An answer is
          kept for two days by the org's clock after its last use, and the oldest goes when there are too many.
Source    REST API Developer Guide, "Query More Results", "Query Options Header"; SOQL limits (cursors).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fakturo.cli.sandbox.clock import SandboxClock
from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.record_ids import record_id
from fakturo.cli.sandbox.soql.execution import Answer

PAGE = 2000
SMALLEST_PAGE = 200
KEPT = timedelta(days=2)
MOST_KEPT = 50
_PREFIX = "0r8"
_BATCH_SIZE = re.compile(r"batchSize\s*=\s*(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class _Kept:
    """An answer and when it was last asked for."""

    answer: Answer
    used_at: datetime


class Locators:
    """The answers that clients haven't read to the end."""

    def __init__(self, clock: SandboxClock) -> None:
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._number = 0

    def first_page(self, answer: Answer, *, size: int, version: str, resource: str) -> dict[str, Any]:
        """The first page of an answer as JSON has it; `resource` is `query` or `queryAll`."""
        if answer.shape is None and len(answer) > size:
            sentence = (
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise OrgError("EXCEEDED_ID_LIMIT", sentence)
        locator = ""
        if len(answer) > size:
            self._number += 1
            locator = record_id(_PREFIX, self._number)
            self._kept[locator] = _Kept(answer, self._clock.now())
            self._let_go()
        return self._page(answer, locator, 0, size=size, version=version, resource=resource)

    def next_page(self, place: str, *, size: int, version: str, resource: str) -> dict[str, Any]:
        """The page at a locator. Raises INVALID_QUERY_LOCATOR for one that is unknown or too old."""
        self._let_go()
        locator, _, start = place.partition("-")
        kept = self._kept.get(locator)
        if kept is None or not start.isdecimal() or int(start) >= len(kept.answer):
            raise OrgError("INVALID_QUERY_LOCATOR", "invalid query locator")
        kept.used_at = self._clock.now()
        return self._page(kept.answer, locator, int(start), size=size, version=version, resource=resource)

    def _page(
        self, answer: Answer, locator: str, start: int, *, size: int, version: str, resource: str
    ) -> dict[str, Any]:
        end = start + size
        page: dict[str, Any] = {"totalSize": answer.total, "done": end >= len(answer)}
        if not page["done"]:
            page["nextRecordsUrl"] = f"/services/data/v{version}/{resource}/{locator}-{end}"
        return page | {"records": answer.records(start, end, version)}

    def _let_go(self) -> None:
        """Forget what is too old, and the oldest of too many."""
        oldest = self._clock.now() - KEPT
        by_age = sorted(self._kept.items(), key=lambda item: item[1].used_at)
        surplus = len(by_age) - MOST_KEPT
        for place, (locator, kept) in enumerate(by_age):
            if place < surplus or kept.used_at < oldest:
                del self._kept[locator]


def page_size(headers: Mapping[str, str]) -> int:
    """The page that a request's `Sforce-Query-Options` asks for, within what Salesforce allows."""
    asked = _BATCH_SIZE.search(headers.get("sforce-query-options", ""))
    return min(max(int(asked[1]), SMALLEST_PAGE), PAGE) if asked else PAGE
