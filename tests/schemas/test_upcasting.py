"""Old versions of an invented event reach the newest, a step at a time."""

from typing import Any

import pytest

from fakturo.schemas.events import EVENT_TYPES
from fakturo.schemas.upcasting import STEPS, Data, next_version, upcast


def _split_name(data: Data) -> dict[str, Any]:
    first, _, last = data["name"].partition(" ")
    return {"first": first, "last": last}


def _add_title(data: Data) -> dict[str, Any]:
    return {**data, "title": None}


PEOPLE = {"test.person.met.v1": _split_name, "test.person.met.v2": _add_title}


def test_the_oldest_version_goes_through_every_step() -> None:
    old = {"name": "Ada Lovelace"}
    newest = {"first": "Ada", "last": "Lovelace", "title": None}
    assert upcast("test.person.met.v1", old, PEOPLE) == ("test.person.met.v3", newest)
    assert old == {"name": "Ada Lovelace"}, "a step changed its input"


def test_a_later_version_goes_through_the_rest() -> None:
    assert upcast("test.person.met.v2", {"first": "Ada"}, PEOPLE) == (
        "test.person.met.v3",
        {"first": "Ada", "title": None},
    )


def test_the_newest_version_stays_as_it_is() -> None:
    data = {"first": "Ada"}
    assert upcast("test.person.met.v3", data, PEOPLE) == ("test.person.met.v3", data)


def test_versions_count_as_numbers() -> None:
    assert next_version("a.b.v9") == "a.b.v10"


@pytest.mark.parametrize("name", ["a.b", "a.b.v", "a.b.vx", ""])
def test_a_type_without_a_version_has_no_next(name: str) -> None:
    with pytest.raises(ValueError, match="does not end in"):
        next_version(name)


def test_every_step_of_ours_leads_to_a_type_that_we_know() -> None:
    assert all(upcast(name, {}, dict.fromkeys(STEPS, dict))[0] in EVENT_TYPES for name in STEPS)
