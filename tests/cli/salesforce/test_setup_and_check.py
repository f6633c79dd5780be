"""`fakturo salesforce setup` and `check` against a sandbox org: what is missing is said, deployed, and then there."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakturo.cli.sandbox.packages import deploy_folder
from fakturo.cli.sandbox.running import ThreadedSandbox, sandbox_in_thread


@pytest.fixture
def org() -> Iterator[ThreadedSandbox]:
    """Return a sandbox org that nobody has deployed anything to."""
    with sandbox_in_thread() as sandbox:
        yield sandbox


def fakturo(org: ThreadedSandbox, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    told = org.sandbox.told()
    environment = {
        **os.environ,
        "FAKTURO_SALESFORCE_LOGIN_URL": str(told["rest_url"]),
        "FAKTURO_SALESFORCE_CA_FILE": str(told["ca_file"]),
        "FAKTURO_SALESFORCE_CLIENT_ID": str(told["client_id"]),
        "FAKTURO_SALESFORCE_CLIENT_SECRET": str(told["client_secret"]),
        **more,
    }
    command = [sys.executable, "-m", "fakturo.cli.main", "salesforce", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_what_check_misses_is_what_setup_deploys(org: ThreadedSandbox, tmp_path: Path) -> None:
    before = fakturo(org, "check", "--json")
    missing = json.loads(before.stdout)["findings"]
    assert before.returncode == 1, before.stderr
    assert {"entity": "Fakturo_Invoice__c", "field": None}.items() <= next(
        found for found in missing if found["entity"] == "Fakturo_Invoice__c"
    ).items()
    assert any(found["field"] == "Fakturo_Vat_Id__c" and not found["is_error"] for found in missing)

    written = fakturo(org, "setup", str(tmp_path / "package"))
    assert written.returncode == 0, written.stderr
    org.in_loop(lambda sandbox: deploy_folder(sandbox, tmp_path / "package"))

    after = fakturo(org, "check")
    assert after.returncode == 0, after.stdout + after.stderr
    assert "The org has all that the profile core reads" in after.stdout


def test_an_object_that_is_not_selected_is_told(org: ThreadedSandbox) -> None:
    def unselect(sandbox: object) -> None:
        sandbox.objects["Order"].cdc = False  # type: ignore[attr-defined]

    org.in_loop(unselect)
    said = fakturo(org, "check").stdout
    assert "Order is not selected for Change Data Capture on /data/ChangeEvents: select it in Setup" in said


@pytest.mark.parametrize("profile", ["cpq", "rlm"])
def test_the_other_profiles_can_be_deployed_and_checked(org: ThreadedSandbox, tmp_path: Path, profile: str) -> None:
    written = fakturo(org, "setup", str(tmp_path / "package"), FAKTURO_PROFILE=profile)
    assert written.returncode == 0, written.stderr
    org.in_loop(lambda sandbox: deploy_folder(sandbox, tmp_path / "package"))
    after = fakturo(org, "check", FAKTURO_PROFILE=profile)
    assert after.returncode == 0, after.stdout + after.stderr


def test_a_folder_that_holds_something_else_is_left_alone(org: ThreadedSandbox, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    written = fakturo(org, "setup", str(tmp_path))
    assert written.returncode == 2
    assert "is not empty and holds no sfdx project; name another folder" in written.stderr


def test_a_wrong_secret_is_said_without_being_shown(org: ThreadedSandbox) -> None:
    planted = "s3cr3t-that-must-not-be-seen"
    said = fakturo(org, "check", FAKTURO_SALESFORCE_CLIENT_SECRET=planted)
    assert said.returncode == 2
    assert said.stderr.startswith("fakturo: https://")
    assert planted not in said.stdout + said.stderr
