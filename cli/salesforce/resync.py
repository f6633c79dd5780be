"""`fakturo salesforce resync`: asks the bridge to read records, or whole objects, again.

Place     people -> [this] -> `sf.resync` -> the bridge's resync worker -> `sf.cdc.*`.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from fakturo.cli.connect import settings_of
from fakturo.cli.output import console, errors, print_json
from fakturo.cli.salesforce.connection import entities_of, opened_org
from fakturo.consumers.runtime.salesforce.errors import OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.settings import Settings
from fakturo.producers.publisher import make_producer, stop_producer
from fakturo.producers.salesforce.rereading import check_ids
from fakturo.producers.salesforce.resync_requests import ResyncRequest, request_record

REASON = "asked"
IDS_PER_REQUEST = 200


def ask_resync(home: Path, entities: Sequence[str], ids: Sequence[str], *, as_json: bool) -> int:
    """Ask, print what was asked, return the exit status: 0 asked, 1 the org has no such object, 2 wrong arguments."""
    if ids and len(entities) != 1:
        errors.print("fakturo salesforce resync: --ids needs one --entity that they are records of")
        return 2
    try:
        record_ids = check_ids(ids)
    except ValueError as error:
        errors.print(f"fakturo salesforce resync: {error}")
        return 2
    settings = settings_of(home)
    try:
        requests = asyncio.run(_ask(settings, entities or entities_of(home), record_ids))
    except OrgRefused as refusal:
        errors.print(f"fakturo salesforce resync: {refusal}")
        return 1
    except ValueError as error:
        errors.print(f"fakturo salesforce resync: {error}")
        return 2
    if as_json:
        print_json(requests)
    else:
        for one in requests:
            what = "all of it" if one.record_ids is None else f"{len(one.record_ids)} records"
            console.print(f"{one.entity}: {what} will be read again (request {one.request_id})")
    return 0


async def _ask(settings: Settings, entities: Sequence[str], ids: Sequence[str]) -> list[ResyncRequest]:
    async with opened_org() as org:
        for entity in entities:
            await _check(org, entity, ids)
        requests = _requests(org.org_id, entities, ids)
    producer = make_producer(settings.kafka)
    await producer.start()
    try:
        for one in map(request_record, requests):
            topic = settings.topic_prefix + one.topic
            await producer.send_and_wait(topic, one.value, key=one.key, partition=one.partition)
    finally:
        await stop_producer(producer, seconds=5)
    return requests


async def _check(org: Org, entity: str, ids: Sequence[str]) -> None:
    """Refuse ids that are of another object: one of them would make the whole query fail.

    Raises:
        OrgRefused: the org has no such object, or does not show it to us.
        ValueError: an id is not of the object.
    """
    prefix = (await org.describe(entity)).get("keyPrefix")
    for record_id in ids:
        if prefix and not record_id.startswith(prefix):
            raise ValueError(f"{record_id} is no {entity}: those begin with {prefix}")


def _requests(org_id: str, entities: Sequence[str], ids: Sequence[str]) -> list[ResyncRequest]:
    starts = range(0, len(ids), IDS_PER_REQUEST)
    parts = [tuple(ids[start : start + IDS_PER_REQUEST]) for start in starts] if ids else [None]
    now_ms = time.time_ns() // 1_000_000
    return [
        ResyncRequest(
            org=org_id,
            entity=entity,
            record_ids=part,
            reason=REASON,
            requested_at_ms=now_ms,
            request_id=f"asked/{uuid.uuid4()}",
        )
        for entity in entities
        for part in parts
    ]
