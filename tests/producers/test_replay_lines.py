"""A replay file is checked before anything is published, and says where it is wrong."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fakturo.producers.replay_lines import ReplayFault, read_lines

USAGE = {"topic": "billing.usage", "key": "AA"}
EVENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "time": "2013-01-02T03:04:05+01:00"}


def written(folder: Path, *lines: object) -> Path:
    path = folder / "history.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_a_line_without_at_is_recorded_at_its_own_time(tmp_path: Path) -> None:
    (line,) = read_lines(written(tmp_path, {**USAGE, "value": EVENT}))
    assert line.at == datetime(2013, 1, 2, 2, 4, 5, tzinfo=UTC)
    assert json.loads(line.value or b"") == EVENT


def test_at_wins_over_the_events_own_time(tmp_path: Path) -> None:
    (line,) = read_lines(written(tmp_path, {**USAGE, "value": EVENT, "at": "2014-01-01T00:00:00Z"}))
    assert line.at == datetime(2014, 1, 1, tzinfo=UTC)


def test_a_change_record_is_recorded_at_its_commit(tmp_path: Path) -> None:
    record = {"v": 1, "commit": {"ts": 1793534400000}}
    (line,) = read_lines(written(tmp_path, {"topic": "sf.cdc.Order", "key": "801", "value": record}))
    assert line.at == datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_bytes_that_are_no_json_are_written_as_base64(tmp_path: Path) -> None:
    first, second = read_lines(
        written(tmp_path, {**USAGE, "value": EVENT}, "", {**USAGE, "value": {"base64": "e25vcGU="}})
    )
    assert second.value == b"{nope"
    assert second.at == first.at
    assert second.number == 3


def test_null_is_a_record_without_a_value(tmp_path: Path) -> None:
    (line,) = read_lines(written(tmp_path, {**USAGE, "value": None, "headers": {"traceparent": "00-1"}}))
    assert line.value is None
    assert line.headers == (("traceparent", b"00-1"),)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{nope", "history.jsonl:1: JSON is malformed"),
        ({"topic": "billing.usage"}, "missing required field `value`"),
        ({"topic": "billing.rated", "value": {}}, "topic 'billing.rated' is none of sf.cdc.Account"),
        ({**USAGE, "value": {}, "time": "x"}, "unknown field `time`"),
        ({**USAGE, "value": {}, "at": "2013-01-01T00:00:00"}, "at has no time zone"),
        ({**USAGE, "value": {"base64": "%"}}, "value.base64 is not base64"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: object, says: str) -> None:
    with pytest.raises(ReplayFault, match=says.replace("(", r"\(")):
        list(read_lines(written(tmp_path, line)))
