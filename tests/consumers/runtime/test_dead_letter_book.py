"""Dead letters in a person's hands: found, replayed exactly once, discarded but kept."""

import asyncpg
import pytest

from fakturo.consumers.runtime.dead_letter_book import (
    Status,
    UnknownLetter,
    count_letters,
    discard_letters,
    list_letters,
    replay_letters,
    show_letter,
)
from fakturo.consumers.runtime.transaction import decode_headers, encode_headers
from fakturo.schemas.dead_letters import DeadLetterReason


async def bury(connection: asyncpg.Connection, agent: str, topic: str, offset: int) -> int:
    headers = [
        ("traceparent", b"00-1"),
        ("fakturo-sequence", b"12"),
        ("__dlq.errors.topic", topic.encode()),
        ("fakturo-dlq-reason", b"unknown_shape"),
    ]
    return int(
        await connection.fetchval(
            'INSERT INTO runtime.dead_letter (agent, topic, partition, "offset", reason, message, key, value, headers, '
            "recorded_at) VALUES ($1, $2, 2, $3, 'unknown_shape', 'no amount', 'k', '{}', $4, now()) RETURNING id",
            agent,
            topic,
            offset,
            encode_headers(headers),
        )
    )


async def test_letters_are_listed_newest_first_and_counted(connection: asyncpg.Connection) -> None:
    first = await bury(connection, "usage", "billing.usage", 1)
    second = await bury(connection, "ledger", "billing.payments", 2)
    assert [letter.id for letter in await list_letters(connection)] == [second, first]
    assert [letter.id for letter in await list_letters(connection, agent="usage")] == [first]
    assert await list_letters(connection, reason=DeadLetterReason.INVALID_TIME) == []
    assert await count_letters(connection) == {
        ("ledger", "billing.payments", DeadLetterReason.UNKNOWN_SHAPE): 1,
        ("usage", "billing.usage", DeadLetterReason.UNKNOWN_SHAPE): 1,
    }
    assert (await show_letter(connection, first)).message == "no amount"


async def test_a_replay_puts_the_record_as_received_into_the_outbox_once(connection: asyncpg.Connection) -> None:
    letter = await bury(connection, "usage", "billing.usage", 1)
    await replay_letters(connection, [letter])
    (row,) = await connection.fetch("SELECT * FROM runtime.outbox")
    assert (row["agent"], row["topic"], row["partition"]) == ("usage", "billing.usage", 2)
    assert (row["key"], row["value"]) == (b"k", b"{}")
    assert decode_headers(row["headers"]) == (("traceparent", b"00-1"),)
    with pytest.raises(UnknownLetter):
        await replay_letters(connection, [letter])
    assert await connection.fetchval("SELECT count(*) FROM runtime.outbox") == 1
    assert (await show_letter(connection, letter)).status is Status.REPLAYED


async def test_into_a_topic_of_ours_a_replay_goes_as_its_owners(connection: asyncpg.Connection) -> None:
    letter = await bury(connection, "ledger", "billing.invoices", 5)
    await replay_letters(connection, [letter])
    assert await connection.fetchval("SELECT agent FROM runtime.outbox") == "invoicing"


async def test_a_replay_of_several_is_all_or_nothing(connection: asyncpg.Connection) -> None:
    letter = await bury(connection, "usage", "billing.usage", 1)
    with pytest.raises(UnknownLetter, match=f"{letter + 1}"):
        await replay_letters(connection, [letter, letter + 1])
    assert await connection.fetchval("SELECT count(*) FROM runtime.outbox") == 0
    assert (await show_letter(connection, letter)).status is Status.OPEN


async def test_a_discarded_letter_stays_in_the_book(connection: asyncpg.Connection) -> None:
    letter = await bury(connection, "usage", "billing.usage", 1)
    await discard_letters(connection, [letter])
    assert await list_letters(connection) == []
    assert [found.id for found in await list_letters(connection, status=Status.DISCARDED)] == [letter]


async def test_what_came_from_other_peoples_topics_goes_back_to_ours_and_says_whence(
    connection: asyncpg.Connection,
) -> None:
    letter = await bury(connection, "crm_feed", "sfdc.Account", 1)
    await replay_letters(connection, [letter])
    (row,) = await connection.fetch("DELETE FROM runtime.outbox RETURNING *")
    assert (row["agent"], row["topic"], row["partition"]) == ("crm_feed", "sf.retry", 0)
    assert decode_headers(row["headers"]) == (("traceparent", b"00-1"), ("fakturo-origin-topic", b"sfdc.Account"))


async def test_a_second_replay_from_the_retry_topic_keeps_the_origin(connection: asyncpg.Connection) -> None:
    letter = await bury(connection, "crm_feed", "sf.retry", 9)
    origin = encode_headers([("fakturo-origin-topic", b"sfdc.Account"), ("fakturo-dlq-reason", b"unknown_shape")])
    await connection.execute("UPDATE runtime.dead_letter SET headers = $1", origin)
    await replay_letters(connection, [letter])
    (row,) = await connection.fetch("SELECT * FROM runtime.outbox")
    assert (row["topic"], row["partition"]) == ("sf.retry", 2)
    assert decode_headers(row["headers"]) == (("fakturo-origin-topic", b"sfdc.Account"),)
