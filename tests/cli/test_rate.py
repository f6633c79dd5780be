"""`fakturo rate` as a program sees it: a subprocess that takes JSON Lines and gives JSON Lines."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "fakturo.cli.main", "rate"]
UNIT = {"model": "per_unit", "unit_amount": "1.005"}
MARCH = {"start": "2026-03-01", "end": "2026-04-01"}
TIERS = {
    "model": "graduated",
    "currency": "EUR",
    "tiers": [
        {"up_to": "10", "unit_amount": "10", "flat_amount": "2"},
        {"up_to": "20", "unit_amount": "5", "flat_amount": "3"},
        {"up_to": None, "unit_amount": "5", "flat_amount": "3"},
    ],
}


def run(content: bytes, *options: str) -> tuple[int, list[Any]]:
    """Return exit status and answers."""
    done = subprocess.run([*COMMAND, *options], input=content, capture_output=True, timeout=120, check=False)
    assert done.stderr == b""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def lines(*documents: Any) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def one(quantity: Any = "1", line_id: Any = "a", **fields: Any) -> dict[str, Any]:
    return {"id": line_id, "currency": "EUR", "price": UNIT, "quantity": quantity, **fields}


def test_the_contracts_example_answers_as_the_contract_shows_it() -> None:
    document = {"id": "c1", "currency": "EUR", "price": TIERS, "quantity": "21"}
    status, answers = run(lines(document, document | {"id": "c2", "quantity": "22", "billed_quantity": "12"}))
    assert status == 0
    first = {"description": "10 units at 10.00 + 2.00", "quantity": "10", "unit_amount": "10", "amount": "102.00"}
    assert [answers[0][name] for name in ("id", "amount", "exact")] == ["c1", "163.00", "163"]
    assert answers[0]["lines"][0] == first
    assert [answers[1][name] for name in ("id", "amount", "exact")] == ["c2", "53.00", "53"]


def test_the_contracts_error_has_code_message_and_path() -> None:
    tiers = [
        {"up_to": "10", "unit_amount": "1"},
        {"up_to": "5", "unit_amount": "1"},
        {"up_to": None, "unit_amount": "1"},
    ]
    status, answers = run(lines({"id": "c9", "currency": "EUR", "price": {"model": "graduated", "tiers": tiers}}))
    message = "tiers[1].up_to 5 is not above 10"
    error = {"code": "price_tier_order", "message": message, "path": "price.tiers[1].up_to"}
    assert (status, answers) == (1, [{"id": "c9", "error": error}])


def test_no_input_gives_no_output_and_succeeds() -> None:
    assert run(b"") == (0, [])


@pytest.mark.parametrize(
    "content",
    [b"nonsense", b"{", b'{"id": "a"', b"[1]", b"7", b"", b'{"id": "\xff"}', b'{"price": ' + b"[" * 5000, b"\x00"],
)
def test_a_line_that_cannot_be_read_is_told_by_its_number_and_the_rest_still_runs(content: bytes) -> None:
    status, answers = run(lines(one(line_id="x")) + content + b"\n" + lines(one(line_id="y")))
    assert status == 1
    assert [answers[0]["id"], answers[2]["id"]] == ["x", "y"]
    assert (answers[1]["line"], answers[1]["error"]["code"]) == (2, "line_invalid")


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        ({"quantiti": 1}, "field_unknown", "quantiti"),
        ({"quantity": 1.5}, "number_float", "quantity"),
        ({"quantity": "1e3"}, "number_invalid", "quantity"),
        ({"quantity": "-1"}, "quantity_negative", "quantity"),
        ({"quantity": True}, "number_type", "quantity"),
        ({"currency": "USD", "price": UNIT | {"currency": "EUR"}}, "currency_mismatch", "price.currency"),
        ({"currency": "ZZZ"}, "currency_unknown", "currency"),
        ({"currency": None}, "field_missing", "currency"),
        ({"price": UNIT | {"maximum_amonut": 1}}, "field_unknown", "price.maximum_amonut"),
        ({"price": None}, "field_type", "price"),
        ({"events": []}, "field_conflict", "events"),
        ({"quantity": None, "events": [{"quantity": "-1"}]}, "quantity_negative", "events[0].quantity"),
        ({"quantity": None, "events": [{"quantity": 1}, {"quantitiy": 1}]}, "field_unknown", "events[1].quantitiy"),
        ({"quantity": None, "events": [{"at": "yesterday"}]}, "instant_invalid", "events[0].at"),
        ({"quantity": None, "events": [{}], "billed_events": 2}, "billed_events_range", "billed_events"),
        ({"period": {"start": "2026-02-01"}}, "field_missing", "period.end"),
        ({"period": {"start": "2026-02-30", "end": "2026-03-01"}}, "instant_invalid", "period.start"),
        ({"period": {"start": "2026-02-01", "end": "2026-02-01"}}, "period_order", "period.end"),
        ({"period": MARCH | {"timezone": "Mars"}}, "zone_unknown", "period.timezone"),
        ({"active": {"start": "2026-02-01"}}, "period_missing", "period"),
        ({"final": "no"}, "field_type", "final"),
        ({"meter": {"aggregation": "median"}}, "aggregation_unknown", "meter.aggregation"),
        ({"billed_quantity": "1", "billed_events": 1}, "field_conflict", "billed_events"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_the_id_is_echoed(change: dict[str, Any], code: str, path: str) -> None:
    status, answers = run(lines(one() | change))
    assert (status, answers[0]["id"]) == (1, "a")
    assert (answers[0]["error"]["code"], answers[0]["error"]["path"]) == (code, path)
    assert answers[0]["error"]["message"]


def test_a_wrong_line_without_an_id_is_told_by_its_number() -> None:
    _, answers = run(lines(one(), {"currency": "EUR"}))
    assert (answers[1]["line"], answers[1]["error"]["code"]) == (2, "field_missing")


def test_ids_of_any_kind_and_any_script_come_back() -> None:
    ids = ["kø-1", "价格", 7, {"a": [1]}, "\u2028"]
    _, answers = run(lines(*[one(line_id=line_id) for line_id in ids]))
    assert [answer["id"] for answer in answers] == ids


def test_a_line_of_many_megabytes_is_rated_and_one_beyond_the_bound_is_refused_without_being_kept() -> None:
    huge = one("2") | {"unit": "u" * 2_000_000}
    too_long = b'{"id": "' + b"x" * (17 * 1_048_576) + b'"}\n'
    status, answers = run(lines(huge) + too_long + lines(one("3")))
    assert status == 1
    assert [answers[0]["amount"], answers[2]["amount"]] == ["2.01", "3.02"]
    assert (answers[1]["line"], answers[1]["error"]["code"]) == (2, "line_invalid")


def test_the_last_line_needs_no_end_and_windows_ends_are_read() -> None:
    assert run(lines(one("1")).replace(b"\n", b"\r\n") + lines(one("2")).rstrip(b"\n"))[1][1]["amount"] == "2.01"


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en", "1,735 movements: 10 at 10.00 + 2.00, 10 at 5.00 + 3.00, 1,715 at 5.00 + 3.00"),
        ("da", "1.735 movements: 10 à 10,00 + 2,00; 10 à 5,00 + 3,00; 1.715 à 5,00 + 3,00"),
        ("de", "1.735 movements: 10 zu je 10,00 + 2,00; 10 zu je 5,00 + 3,00; 1.715 zu je 5,00 + 3,00"),
    ],
)
def test_explain_adds_the_sentence_in_the_language_asked_for(locale: str, sentence: str) -> None:
    document = {"currency": "EUR", "price": TIERS, "quantity": "1735", "unit": "movements"}
    _, answers = run(lines(document), "--explain", "--locale", locale)
    assert answers[0]["explanation"] == sentence
    assert "explanation" not in run(lines(document))[1][0]


def test_a_file_is_read_in_place_of_standard_input(tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_bytes(lines(one("4")))
    assert run(b"", "--file", str(tmp_path / "lines.jsonl"))[1][0]["amount"] == "4.02"
    missing = subprocess.run([*COMMAND, "--file", str(tmp_path / "none")], capture_output=True, check=False)
    assert (missing.returncode, b"No such file" in missing.stderr) == (2, True)


def test_a_line_is_answered_before_the_next_one_comes() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for quantity in ("1", "2"):
            running.stdin.write(lines(one(quantity)))
            running.stdin.flush()
            assert json.loads(running.stdout.readline())["id"] == "a"
        running.stdin.close()
        assert running.wait(timeout=60) == 0


def test_a_reader_that_has_seen_enough_ends_it_without_a_traceback() -> None:
    with subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        try:
            running.stdin.write(lines(*[one()] * 20_000))
            running.stdin.close()
        except BrokenPipeError:
            pass
        assert running.wait(timeout=60) == 1
        assert running.stderr.read() == b""


def test_it_starts_without_loading_what_it_does_not_need() -> None:
    code = "import sys; from fakturo.cli.rate import run_rate; run_rate([]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], input=lines(one()), capture_output=True, check=True, env=os.environ
    )
    assert not {"typer", "rich", "faust", "aiokafka", "sqlalchemy", "pydantic"} & set(done.stderr.decode().split())
