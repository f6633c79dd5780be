"""Time as an event: the only thing that moves time in Fakturo (DESIGN.md, Time)."""

import msgspec

from fakturo.schemas.envelope import Instant
from fakturo.schemas.topics import CLOCK_ADVANCED as TYPE


class ClockAdvanced(msgspec.Struct, frozen=True, kw_only=True):
    """Time has reached `at`: whatever comes later in this partition with an earlier event time is late."""

    at: Instant


TYPES: dict[str, type[msgspec.Struct]] = {TYPE: ClockAdvanced}
