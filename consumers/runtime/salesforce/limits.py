"""How much of an org's daily API calls is used, and whether there is room for ours.

Place     every answer's `Sforce-Limit-Info` header -> transport -> [this] -> crm_sync, reconciliation, metrics. Pure.
Source    REST API Developer Guide, "Limit Info Header": `api-usage=18/5000` or, for a connected app's own share,
          `per-app-api-usage=17/250(appName=sample-app)`.
"""

import re
from dataclasses import dataclass

_USAGE = re.compile(r"(?:^|[\s;,])api-usage=([0-9]+)/([0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """API calls of the org in its rolling day: used by everybody, and allowed."""

    used: int
    allowed: int

    @property
    def used_percent(self) -> int:
        """Return how much is used, in whole percent, rounded up; an allowance of nothing is used up."""
        return 100 if self.allowed <= 0 else -(-self.used * 100 // self.allowed)

    def leaves(self, reserve_percent: int) -> bool:
        """Return whether more than `reserve_percent` of the allowance is left, which others may need."""
        return (self.allowed - self.used) * 100 > self.allowed * reserve_percent


def api_usage_of(header: str | None) -> ApiUsage | None:
    """Return what a `Sforce-Limit-Info` header says of the org's calls; None where it says nothing."""
    found = _USAGE.search(header or "")
    return None if found is None else ApiUsage(int(found[1]), int(found[2]))
