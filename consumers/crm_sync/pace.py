"""How fast the org may be called: what others need of the day's API calls stays theirs.

Place     pusher -> [this]. Pure.
Rules     the allowance less `api_reserve_percent` is ours. While half of it is left nothing is held back; from there
          the pause after each call grows to `SLOW_SECONDS`, so that what the rolling day gives back is what is used;
          when nothing is left no call is made at all.
"""

from fakturo.consumers.runtime.salesforce.limits import ApiUsage

SLOW_SECONDS = 60.0


def pause_seconds(usage: ApiUsage | None, reserve_percent: int) -> float | None:
    """Return the pause after a call; None where no call may be made. Without a word of the org there is none."""
    if usage is None:
        return 0.0
    ours = usage.allowed * (100 - reserve_percent) / 100
    left = ours - usage.used
    if left <= 0:
        return None
    return max(0.0, SLOW_SECONDS * (1 - 2 * left / ours))
