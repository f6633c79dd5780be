"""A small schema registry on loopback, as Confluent's answers `GET /schemas/ids/<id>`; and its wire format."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import fastavro
from aiohttp import BasicAuth, web


class ForeignRegistry:
    """Schemas by id; counts the requests, and answers `status` instead while that is set."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[int] = []
        self.status = 0
        self.credentials: tuple[str, str] | None = None
        self._answers: dict[int, dict[str, Any]] = {}

    def add(self, schema_id: int, schema: dict[str, Any], kind: str = "AVRO", **more: Any) -> None:
        answer = {"schema": json.dumps(schema), **more}
        self._answers[schema_id] = answer if kind == "AVRO" else answer | {"schemaType": kind}

    async def answer(self, request: web.Request) -> web.Response:
        schema_id = int(request.match_info["id"])
        self.asked.append(schema_id)
        if self.status:
            return web.Response(status=self.status)
        if self.credentials is not None:
            given = BasicAuth.decode(request.headers.get("Authorization", "Basic Og=="))
            if (given.login, given.password) != self.credentials:
                return web.Response(status=401)
        if schema_id not in self._answers:
            return web.json_response({"error_code": 40403, "message": "Schema not found"}, status=404)
        return web.json_response(self._answers[schema_id])


@asynccontextmanager
async def running_registry() -> AsyncIterator[ForeignRegistry]:
    registry = ForeignRegistry()
    app = web.Application()
    app.router.add_get("/schemas/ids/{id}", registry.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    registry.url = f"http://{host}:{port}"
    try:
        yield registry
    finally:
        await runner.cleanup()


def avro_framed(schema_id: int, schema: dict[str, Any], value: dict[str, Any]) -> bytes:
    """Return `value` as Confluent's Avro serializer writes it."""
    stream = BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), value)
    return framed(schema_id, stream.getvalue())


def framed(schema_id: int, payload: bytes) -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + payload
