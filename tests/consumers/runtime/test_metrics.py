"""The metrics' names and label sets, judged by Prometheus's own rules for naming."""

import re

from prometheus_client import REGISTRY

from fakturo.consumers.runtime import metrics
from fakturo.consumers.runtime.metrics import CATALOGUE, initialise, initialise_relay

UNITS = (
    "_seconds",
    "_total",
    "_records",
    "_events",
    "_pending",
    "_partitions",
    "_minor",
    "_info",
    "_stopped",
    "_ratio",
)


def test_every_name_has_the_prefix_and_ends_in_its_unit() -> None:
    for name, family in CATALOGUE.items():
        assert re.fullmatch(r"fakturo_[a-z_]+", name)
        assert name.endswith(UNITS), name
        assert (family.kind == "counter") == name.endswith("_total"), name
        assert family.help.endswith("."), name


def test_no_label_can_grow_with_the_number_of_accounts() -> None:
    allowed = {"agent", "topic", "partition", "outcome", "reason", "kind", "currency", "version"}
    allowed |= {
        "entity",
        "change_type",
        "error",
        "policy",
        "limit",
        "shape",
        "state",
    }  # of the bridge, the feed and the write-back: closed sets too
    assert {label for family in CATALOGUE.values() for label in family.labels} <= allowed


def test_the_families_that_the_operators_were_promised_are_there() -> None:
    promised = (
        *("events_total", "batch_seconds", "end_to_end_seconds", "consumer_lag_records", "consumer_lag_seconds"),
        *("dead_letters_total", "parked_events", "oldest_parked_age_seconds", "outbox_pending"),
        *("outbox_oldest_age_seconds", "rebalances_total", "assigned_partitions", "partitions_stopped"),
        *("watermark_timestamp_seconds", "relay_published_total", "relay_transaction_seconds", "invoices_total"),
        *("ledger_imbalance_minor", "build_info"),
    )
    assert {f"fakturo_{name}" for name in promised} <= set(CATALOGUE)


def test_known_label_sets_are_zero_before_anything_happens() -> None:
    for family in (metrics.EVENTS, metrics.DEAD_LETTERS, metrics.OUTBOX_PENDING):
        family.clear()  # of what other tests of this process have counted
    initialise("kpi", ["billing.ledger"])
    initialise_relay(["kpi"])
    labels = {"agent": "kpi", "topic": "billing.ledger"}
    assert REGISTRY.get_sample_value("fakturo_events_total", {**labels, "outcome": "applied"}) == 0
    assert REGISTRY.get_sample_value("fakturo_dead_letters_total", {**labels, "reason": "unknown_shape"}) == 0
    assert REGISTRY.get_sample_value("fakturo_outbox_pending", {"agent": "kpi"}) == 0
    assert REGISTRY.get_sample_value("fakturo_build_info", {"version": "0.1.0"}) == 1


def test_no_created_timestamps_double_the_number_of_series() -> None:
    metrics.INVOICES.labels("invoice", "USD").inc()
    names = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    assert not {name for name in names if name.startswith("fakturo_") and name.endswith("_created")}
