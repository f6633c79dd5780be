"""`fakturo salesforce written` and `retry`: does the org hold what the books say, what does it refuse, and again.

Place     crm_sync.written and the org -> [this] (calls crm_sync/comparison) -> a table for a person or JSON.
Effect    what differs is marked; the running agent sends it. Nothing is written to the org from here.
"""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from fakturo.cli.connect import connect
from fakturo.cli.output import console, print_json, print_rows
from fakturo.consumers.crm_sync import push_store
from fakturo.consumers.crm_sync.comparison import Comparison, compare
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.errors import OrgFault
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import load_salesforce_settings
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS

SENTENCES_MAX = 200


def show_written(home: Path, *, as_json: bool) -> int:
    """Compare the org with the books and print it; return 1 where they are not equal."""
    told = asyncio.run(_written(home))
    is_equal = not told["differences"] and not any(one["waiting"] or one["refused"] for one in told["objects"])
    if as_json:
        print_json({"equal": is_equal, **told})
        return int(not is_equal)
    print_rows("What is written to Salesforce", told["objects"], empty="Nothing.", as_json=False)
    if told["differences"]:
        shown = [{**one, "fields": _in_words(one["fields"])} for one in told["differences"]]
        print_rows("Sent again: the org differs", shown, empty="", as_json=False)
    if told["failures"]:
        print_rows("Refused, or waiting", told["failures"], empty="", as_json=False)
    for entity, sentence in told["holds"].items():
        console.print(f"{entity} is on hold: {sentence}", markup=False)
    console.print("The org holds what the books say." if is_equal else "The org is not equal to the books yet.")
    return int(not is_equal)


def retry_refused(home: Path, *, as_json: bool) -> int:
    """Let the agent send again what was refused; print how many records that are."""
    count = asyncio.run(_retry(home))
    if as_json:
        print_json({"records": count})
    else:
        console.print(f"{count} records are sent again.")
    return 0


async def _written(home: Path) -> dict[str, Any]:
    connection = await connect(home)
    org = Org(load_salesforce_settings())
    try:
        await org.open()
        comparison = await compare(connection, org)
        return await _told(connection, comparison)
    except OrgFault as fault:
        raise SettingsFault(f"the org: {fault}") from None
    finally:
        await org.close()
        await connection.close()


async def _told(connection: asyncpg.Connection, comparison: Comparison) -> dict[str, Any]:
    stands = {stand.entity: stand for stand in await push_store.stand(connection)}
    objects = []
    for written in WRITTEN_OBJECTS:
        stand = stands.get(written.name, push_store.Stand(entity=written.name))
        waiting = {"waiting": stand.waiting, "refused": stand.refused, "account_unknown": stand.account_unknown}
        counts = comparison.counts[written.name]
        objects.append({"object": written.name, **counts, **waiting, "foreign_account": stand.foreign_account})
    differences = [
        {"object": one.entity, "key": one.key, "kind": one.kind, "fields": dict(one.fields)}
        for one in comparison.differences
    ]
    return {
        "objects": objects,
        "differences": differences,
        "failures": await push_store.failures(connection, SENTENCES_MAX),
        "holds": await push_store.holds(connection),
    }


async def _retry(home: Path) -> int:
    connection = await connect(home)
    try:
        return await push_store.retry(connection)
    finally:
        await connection.close()


def _in_words(fields: dict[str, tuple[str | None, str | None]]) -> str:
    return "; ".join(f"{name}: {held or 'empty'}, to be {told or 'empty'}" for name, (held, told) in fields.items())
