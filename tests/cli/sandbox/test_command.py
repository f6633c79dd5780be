"""`fakturo sandbox` as a process: one line, served until told to stop."""

import subprocess
import sys
from pathlib import Path

import pytest
import requests

from fakturo.cli.sandbox.running import start_sandbox_process

KEYS = [
    *("rest_url", "pubsub_target", "ca_file", "org_id", "username", "password"),
    *("security_token", "client_id", "client_secret", "private_key_file"),
]


@pytest.mark.parametrize("plain", [False, True])
def test_it_tells_where_it_is_and_serves_until_it_is_stopped(plain: bool) -> None:
    sandbox = start_sandbox_process(["--plain", "--now", "2013-01-01"] if plain else ["--now", "2013-01-01"])
    try:
        told = sandbox.told
        assert list(told) == KEYS
        assert (told["ca_file"] is None) is plain
        assert told["rest_url"].startswith("http://" if plain else "https://")
        with requests.Session() as session:
            session.trust_env = False
            session.verify = told["ca_file"] or False
            asked = session.post(
                f"{told['rest_url']}/services/oauth2/token",
                data={"grant_type": "client_credentials"},
                auth=(told["client_id"], told["client_secret"]),
            )
            assert asked.status_code == 200
            assert "01 Jan 2013" in asked.headers["Date"]
        if told["ca_file"]:
            assert Path(told["ca_file"]).exists()
    finally:
        sandbox.stop()
    assert sandbox.process.returncode == 0
    assert not Path(told["private_key_file"]).exists()


def test_a_faulty_package_is_said_and_ends_it_with_status_2(tmp_path: Path) -> None:
    (tmp_path / "X.object").write_text("no xml")
    done = subprocess.run(
        [sys.executable, "-m", "fakturo.cli.main", "sandbox", "--metadata", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "X.object" in done.stderr
