"""Old events made new: pure steps from one version of an event type's data to the next, chained to the newest.

Place     bytes of an old version -> [this] -> the struct of the newest version. Topics that keep for ever hold every
          version that was ever written, so a step is never removed.
Rule      a version rises only where a change is incompatible (schemas/README.md); a new optional field needs none.
State     every type is at v1, so STEPS is empty; codec.decode_data is where the first one will be put to use.
"""

from collections.abc import Callable, Mapping
from typing import Any

Data = Mapping[str, Any]
Step = Callable[[Data], Data]
"""Takes `data` of version N and returns it as version N + 1; pure, and total on what N's schema allows."""

STEPS: dict[str, Step] = {}
"""The step away from each old type: "fakturo.x.happened.v1" -> the function that gives v2."""


def next_version(event_type: str) -> str:
    """Return the type one version later. Raises ValueError where `event_type` does not end in `.v<N>`."""
    stem, mark, number = event_type.rpartition(".v")
    if not mark or not number.isdecimal():
        raise ValueError(f"{event_type!r} does not end in .v<N>")
    return f"{stem}.v{int(number) + 1}"


def upcast(event_type: str, data: Data, steps: Mapping[str, Step] = STEPS) -> tuple[str, Data]:
    """Return the newest type that `steps` leads to and `data` in its shape; the same where no step leads on."""
    while (step := steps.get(event_type)) is not None:
        event_type, data = next_version(event_type), step(data)
    return event_type, data
