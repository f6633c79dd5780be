"""What the broker calls a topic: ours have the prefix, other people's have none."""

import pytest

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.topic_names import broker_name, logical_name, parse_foreign_topics


@pytest.mark.parametrize("prefix", ["", "test."])
def test_a_topic_of_ours_carries_the_prefix_and_one_of_other_people_never(prefix: str) -> None:
    assert broker_name("billing.usage", prefix) == f"{prefix}billing.usage"
    assert broker_name("sfdc.Account", prefix) == "sfdc.Account"
    assert broker_name("test.sfdc", prefix) == "test.sfdc"
    for topic in ("billing.usage", "sf.retry", "sfdc.Account", "test.sfdc"):
        assert logical_name(broker_name(topic, prefix), prefix) == topic


def test_a_setting_names_topics_with_commas_and_each_once() -> None:
    assert parse_foreign_topics(" sfdc.Account, sfdc.Order,,sfdc.Account", "") == ("sfdc.Account", "sfdc.Order")
    assert parse_foreign_topics("", "") == ()


@pytest.mark.parametrize("name", ["sf.cdc.Account", "test.billing.usage", "test.sf.retry.dlq", "sf.cdc.Order.dlq"])
def test_a_topic_of_ours_is_refused_as_somebody_elses(name: str) -> None:
    with pytest.raises(SettingsFault, match=name):
        parse_foreign_topics(name, "test.")
