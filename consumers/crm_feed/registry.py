"""The schema registry of the foreign topics: one look-up a schema id, kept for ever.

Place     reading.py, on the first message of an id -> [this] -> `GET /schemas/ids/<id>` -> wire_format.
Errors    a registry that does not answer, or refuses us, is waited for in place (WorldAway): no message is lost by it.
          An id that it does not know is the message's own fault: SchemaError, a dead letter.
Secrets   the credentials stand in no error and no log; the URL may hold none (settings.py).
"""

import base64

import aiohttp
import msgspec
from pydantic import SecretStr

from fakturo.consumers.crm_feed.shapes.message import misshapen
from fakturo.consumers.crm_feed.shapes.wire_format import RegisteredSchema, read_registered
from fakturo.consumers.runtime.errors import WorldAway
from fakturo.schemas.errors import SchemaError

SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 16 * 1_048_576
ACCEPTED = "application/vnd.schemaregistry.v1+json, application/json"
NOT_FOUND = 404


class SchemaRegistry:
    """Schemas by id. What is refused (Protobuf, references) is kept as refused: an id never changes its schema."""

    def __init__(self, url: str, credentials: SecretStr | None = None) -> None:
        self._url = url.rstrip("/")
        self._credentials = credentials
        self._known: dict[int, RegisteredSchema | SchemaError] = {}

    async def schema(self, schema_id: int) -> RegisteredSchema:
        """Return the schema of this id.

        Raises:
            SchemaError: the registry does not know it, no registry is set, or it is of a kind that is not read.
            WorldAway: the registry does not answer; the same call will do later.
        """
        if schema_id not in self._known:
            self._known[schema_id] = await self._ask(schema_id)
        found = self._known[schema_id]
        if isinstance(found, SchemaError):
            raise found
        return found

    async def _ask(self, schema_id: int) -> RegisteredSchema | SchemaError:
        if not self._url:
            raise misshapen(f"schema {schema_id} of a registry is needed: set FAKTURO_CRM_REGISTRY_URL")
        status, body = await self._get(f"{self._url}/schemas/ids/{schema_id}")
        if status == NOT_FOUND:
            raise misshapen(f"the schema registry does not know schema {schema_id}")
        if status != 200:
            raise self._away(f"it answers {status}")
        try:
            answer = msgspec.json.decode(body, type=dict[str, object])
        except msgspec.MsgspecError:
            raise self._away("it answers something else than JSON") from None
        try:
            return read_registered(answer, schema_id)
        except SchemaError as refusal:
            return refusal

    async def _get(self, url: str) -> tuple[int, bytes]:
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS_MAX)) as session,
                session.get(url, headers={"Accept": ACCEPTED, **self._authorization()}) as response,
            ):
                return response.status, await response.content.read(ANSWER_BYTES_MAX)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise self._away(type(error).__name__) from None

    def _authorization(self) -> dict[str, str]:
        secret = self._credentials.get_secret_value() if self._credentials is not None else ""
        return {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"} if secret else {}

    def _away(self, reason: str) -> WorldAway:
        return WorldAway(f"the schema registry {self._url}", reason)
