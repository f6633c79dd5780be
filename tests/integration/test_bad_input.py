"""A body of 2 MB among good events, through `fakturo replay`: one dead letter more, and the same bill."""

import json
from pathlib import Path
from typing import Any

from tests.golden.cases import HERE, UNTIL, replay

CASE = "bad_input"
BODY_BYTES = 2 * 1_048_576


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_body_of_two_megabytes_is_dead_lettered_whole_and_the_events_around_it_are_billed(
    kafka_bootstrap: str, database_server: str, tmp_path: Path
) -> None:
    lines = _lines(HERE / CASE / "history.jsonl")
    at = next(index for index, line in enumerate(lines) if line["topic"] == "billing.usage") + 3
    good = lines[at - 3]
    large = {**good, "value": {**good["value"], "id": "large", "data": {"calls": "1", "text": "x" * BODY_BYTES}}}
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps(line) + "\n" for line in (*lines[:at], large, *lines[at:])))
    parts = {"FAKTURO_KAFKA": kafka_bootstrap, "DATABASE_URL": database_server}
    output = tmp_path / "output"
    done = replay(history, output, catalog=HERE / CASE / "catalog.yaml", until=UNTIL[CASE], environment=parts)
    assert done.returncode == 0, done.stderr
    letters = _lines(output / "billing.usage.dlq.jsonl")
    (found,) = [line for line in letters if line["headers"]["fakturo-dlq-reason"] == "body_too_large"]
    assert found["value"] == large["value"]
    assert len(letters) == 13
    expected = HERE / CASE / "expected"
    assert [line["value"]["data"]["total_minor"] for line in _lines(output / "billing.invoices.jsonl")] == [306_25]
    assert (output / "books.json").read_text() == (expected / "books.json").read_text()
