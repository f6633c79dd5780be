"""What the documents name is there: files, functions, commands, settings; what they promise of every client holds."""

import re
from pathlib import Path

import pytest
import typer.main
from pydantic_core import PydanticUndefined

from fakturo.cli.commands import app
from fakturo.consumers.runtime.settings import Settings
from tests.architecture.tree import ROOT, modules

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
_PATH = re.compile(
    r"`((?:cli|consumers|deploy|docs|engine|producers|schemas|tests)/[\w./-]+)`(?: `([A-Za-z_]\w*(?:\.\w+)*)`)?"
)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def _named(document: Path) -> list[tuple[str, str]]:
    """Return (path, function or "") of everything that `document` names between backticks."""
    return _PATH.findall(document.read_text())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_every_file_and_function_that_a_document_names_is_there(document: Path) -> None:
    assert [path for path, _ in _named(document) if not (ROOT / path).exists()] == []
    assert [link for link in _LINK.findall(document.read_text()) if not (document.parent / link).exists()] == []
    for path, function in _named(document):
        source = (ROOT / path).read_text() if function else ""
        for name in filter(None, function.split(".")):
            assert re.search(rf"(?:def|class) {name}\b", source), f"{path} has no {function}"


def test_one_usage_event_can_be_followed_by_file_and_function() -> None:
    flow = (ROOT / "README.md").read_text().partition("## Follow one usage event")[2].partition("## ")[0]
    assert len([function for _, function in _PATH.findall(flow) if function]) >= 9


def test_the_readme_lists_every_setting_with_its_default() -> None:
    text = (ROOT / "README.md").read_text()
    listed = dict(re.findall(r"^\| `((?:FAKTURO_|DATABASE_URL)\w*)` \| ([^|]+) \|", text, re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"FAKTURO_{name.upper()}")
        default = field.default
        if default is PydanticUndefined:
            expected[variable] = "required"
        else:
            expected[variable] = "none" if default in (None, "") else f"`{default}`"
    assert listed == expected


def test_the_readme_names_every_command() -> None:
    text = (ROOT / "README.md").read_text().partition("## Commands")[2].partition("## ")[0]
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert [name for name in commands if not re.search(rf"`(?:fakturo )?{name}\b", text)] == []


def test_every_command_that_tells_something_tells_it_to_programs_too() -> None:
    # The rest runs until it is told to stop, shows progress, or writes its result to a file.
    # `rate` speaks nothing but JSON.
    silent = {
        "up",
        "down",
        "agent",
        "demo",
        "replay",
        "migrate",
        "rate",
        "bench usage",
        "bench year",
        "bench contracts",
        "salesforce setup",
    }
    root = typer.main.get_command(app)
    found = {}
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        for child, leaf in getattr(command, "commands", {"": command}).items():
            found[f"{name} {child}".strip()] = leaf
    without = {name for name, leaf in found.items() if not any("--json" in option.opts for option in leaf.params)}
    assert without <= silent


def test_every_reader_of_ours_reads_what_is_committed_and_every_writer_is_idempotent() -> None:
    writers = {module.where for module in modules() if "AIOKafkaProducer(" in module.source}
    # The relay's is transactional, which includes it; the publisher's are idempotent.
    assert writers == {"producers/publisher.py", "consumers/runtime/relay_publisher.py"}
    readers = [module for module in modules() if "AIOKafkaConsumer(" in module.source]
    promised = ('"read_committed"', "consumer_options(")
    assert [one.where for one in readers if not any(words in one.source for words in promised)] == []
