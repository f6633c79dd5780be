"""`fakturo agent salesforce` as a process: it publishes, ends at SIGTERM, and prints no secret."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from fakturo.cli.sandbox.running import run_sandbox
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_admin import apply_topics
from tests.producers.salesforce.kafka_reading import committed

pytestmark = pytest.mark.integration


async def test_the_process_publishes_is_ready_ends_at_sigterm_and_prints_no_secret(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    await apply_topics(settings, keep_producer_time=True)
    home = tmp_path / "home"
    (home / "run").mkdir(parents=True)
    async with run_sandbox() as sandbox:
        sandbox.org.faults.apply({"keepalive_seconds": 0.3, "unavailable": 1})
        secret = sandbox.access.client_secret
        org = {
            "FAKTURO_SALESFORCE_LOGIN_URL": sandbox.rest_url,
            "FAKTURO_SALESFORCE_CLIENT_ID": sandbox.access.client_id,
            "FAKTURO_SALESFORCE_CLIENT_SECRET": secret,
            "FAKTURO_SALESFORCE_PUBSUB_TARGET": sandbox.pubsub_target,
            "FAKTURO_SALESFORCE_CA_FILE": str(sandbox.ca_file),
        }
        with (tmp_path / "said.txt").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "fakturo.cli.main", "agent", "salesforce"],
                env={**os.environ, **environment, **org},
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        try:
            await _until_published(settings, "sf.resync", 1, process)
            with sandbox.org.transaction() as writing:
                account = writing.insert("Account", {"Name": "Acme"})
            changes = await _until_published(settings, "sf.cdc.Account", 1, process)
            assert any(change["recordId"] == account for change in changes)
            port = (home / "run" / "salesforce-0.port").read_text()
            answer = await asyncio.to_thread(_readyz, port)
            assert answer["ready"], answer
            assert "published" in answer["checks"]["stream"]["says"]
        finally:
            process.send_signal(signal.SIGTERM)
            status = await asyncio.to_thread(process.wait, 30)
    text = (tmp_path / "said.txt").read_text()
    assert status == 0, text
    assert "the bridge works" in text
    tokens = list(sandbox.org.sessions._live)
    assert tokens, "the process did let itself in"
    assert [planted for planted in (secret, *tokens) if planted in text] == []


async def _until_published(
    settings: Settings, topic: str, number: int, process: subprocess.Popen[bytes]
) -> list[dict[str, object]]:
    async with asyncio.timeout(60):
        while True:
            found = await committed(settings, topic)
            if len(found) >= number:
                return [json.loads(record.value) for record in found]
            assert process.poll() is None, "the process ended"
            await asyncio.sleep(0.2)


def _readyz(port: str) -> dict[str, dict[str, dict[str, str]]]:
    with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as response:
        answer: dict[str, dict[str, dict[str, str]]] = json.load(response)
    return answer
