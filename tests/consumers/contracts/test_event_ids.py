"""What names a published event: never twice the same, and the same again when a publication is done again."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from fakturo.consumers.contracts.offers import Offers
from fakturo.consumers.runtime.transaction import Transaction
from fakturo.schemas.codec import decode_event
from fakturo.schemas.salesforce_ids import long_id
from tests.consumers.contracts.desk import Desk

Connect = Callable[[], Awaitable[asyncpg.Connection]]
AT = "2012-12-15T12:00:00Z"
LATER = "2012-12-15T12:00:01Z"
DEAL = long_id("006NY0000000001")


def update(crm: SimpleNamespace, entity: str, record_id: str, number: int, **values: Any) -> dict[str, Any]:
    """Return the `number`th change of a record within one second: all are known since the same instant."""
    return {**crm.change(entity, record_id, LATER, "UPDATE", **values), "eventId": f"{entity}-{number}"}


def numbers(ids: list[str]) -> list[int]:
    """Return which version each id says that it is: `role/record/version/hash`."""
    return [int(one.split("/")[2]) for one in ids]


async def test_an_account_that_goes_back_to_what_it_was_within_a_second_is_another_event(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    """Names A, B, A, B: the third event says what the first said, and is an event of its own."""
    desk = Desk.of(await connect(), offers)
    await desk.hand_in(crm.order_of_american()[0])
    await desk.publish()
    said = []
    for number, name in enumerate("ABAB"):
        await desk.hand_in(update(crm, "Account", crm.ACCOUNT_ID, number, Name=name))
        said += await desk.publish()
    assert said[0].data == said[2].data
    assert said[1].data == said[3].data
    assert len({one.id for one in said}) == 4
    assert numbers([one.id for one in said]) == [2, 3, 4, 5]


async def test_an_opportunity_that_goes_back_to_what_it_was_within_a_second_is_another_event(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    desk = Desk.of(await connect(), offers)
    deal = crm.change("Opportunity", DEAL, AT, AccountId=crm.ACCOUNT_ID, CreatedDate=AT, StageName="Prospecting")
    await desk.hand_in(crm.order_of_american()[0], deal)
    await desk.publish()
    said = []
    for number, stage in enumerate(("Proposal", "Prospecting", "Proposal")):
        await desk.hand_in(update(crm, "Opportunity", DEAL, number, StageName=stage))
        said += await desk.publish()
    assert said[0].data == said[2].data
    assert len({one.id for one in said}) == 3


async def test_a_catalog_that_goes_back_to_what_it_was_is_another_event(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    """No record changes at all, so nothing but the version tells the first event from the third."""
    connection = await connect()
    renamed = replace(offers, by_code={**offers.by_code, "TERMINAL": replace(offers.by_code["TERMINAL"], name="Gate")})
    await Desk.of(connection, offers).hand_in(*crm.order_of_american())
    said = []
    for known in (offers, renamed, offers):
        desk = Desk.of(connection, known)
        await desk.publish()
        said += [one for one in await desk.publish() or desk.events.values() if "subscription" in one.type]
    assert said[0].data == said[2].data
    assert [one.data.items[0].product_name for one in said] == ["Terminal rent", "Gate", "Terminal rent"]
    assert numbers([one.id for one in said]) == [1, 2, 3]


@pytest.mark.parametrize("seed", range(5))
async def test_any_walk_between_two_names_has_one_event_a_change_and_no_id_twice(
    seed: int, crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    """The same content again is no event; each change is one, numbered from 1."""
    chance, desk = random.Random(seed), Desk.of(await connect(), offers)
    await desk.hand_in({**crm.order_of_american()[0]})
    await desk.publish()
    walk = [chance.choice("AB") for _ in range(12)]
    changes = sum(one != before for one, before in zip(walk, ["", *walk[:-1]], strict=True))
    for number, name in enumerate(walk):
        await desk.hand_in(update(crm, "Account", crm.ACCOUNT_ID, number, Name=name))
        await desk.publish()
    ids = [event.id for _, event in desk.emitted]
    assert numbers(ids) == list(range(1, changes + 2))
    assert len(set(ids)) == len(ids)


async def test_a_publication_that_was_rolled_back_names_its_events_alike_when_it_is_done_again(
    crm: SimpleNamespace, offers: Offers, connect: Connect
) -> None:
    connection = await connect()
    desk = Desk.of(connection, offers)
    await desk.hand_in(*crm.order_of_american())
    lost = connection.transaction()
    await lost.start()
    tx = Transaction(agent="contracts", sql=None, driver=connection, partition_count=4)  # type: ignore[arg-type]
    await desk.agent.flush(tx)
    await lost.rollback()
    first = [decode_event(row.value).id for row in tx.outbox]
    again = [one.id for one in await Desk.of(connection, offers).publish()]
    assert len(first) == 2
    assert again == first
