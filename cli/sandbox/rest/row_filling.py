"""The sandbox's own door for benches: `POST /sandbox/rows` puts many rows into a table at once.

Place     benches -> rest/app -> [this] -> rows.py
Body      `{"object": "OrderItem", "count": 1000000, "values": {"Quantity": 1}}`. The rows differ in their ids alone.
          The answer says how many there are, and the first and last record's id.
Rules     No event tells of them and no total counts them, as if they had been there before anybody looked. Their
          references are not looked up.
"""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.record_ids import record_id
from fakturo.cli.sandbox.rest.answers import answer, org_of, read_object
from fakturo.cli.sandbox.rows import Row
from fakturo.cli.sandbox.validation import clean, field_of

MOST = 2_000_000


async def fill_table(request: Request) -> Response:
    """Put many rows; nobody is told."""
    wanted = await read_object(request)
    name, values, count = wanted.get("object"), wanted.get("values"), wanted.get("count")
    if not isinstance(name, str) or not isinstance(values, dict):
        raise OrgError("INVALID_FIELD", 'Expected "object" and "values": {"Quantity": 1}', ("object", "values"))
    if type(count) is not int or not 1 <= count <= MOST:
        raise OrgError("INVALID_FIELD", f"Expected a count of 1 to {MOST}", ("count",))
    ids = put_rows(org_of(request), name, values, count)
    return answer({"put": count, "firstId": ids[0], "lastId": ids[1]})


def put_rows(org: SandboxOrg, name: str, values: dict[str, object], count: int) -> tuple[str, str]:
    """Put `count` rows that hold `values`, numbered on from the newest record; return the first and the last one's id.

    Raises:
        OrgError: an unknown object or field, or a value that cannot be its.
    """
    entity = org.object(name)
    table = org.tables[entity.name]
    stamp = org.present_stamp()
    told = {field_of(entity, one).name: clean(entity, field_of(entity, one), value) for one, value in values.items()}
    stamps = dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), stamp)
    users = dict.fromkeys(("CreatedById", "LastModifiedById"), org.user_id)
    same = {**told, **stamps, **users, "IsDeleted": False}
    first = table.last_number + 1
    for number in range(first, first + count):
        one = record_id(entity.key_prefix, number)
        table.put(one, Row(same, Id=one))
    table.last_number += count
    return record_id(entity.key_prefix, first), record_id(entity.key_prefix, table.last_number)


ROUTES = [Route("/sandbox/rows", fill_table, methods=["POST"])]
