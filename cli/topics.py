"""`fakturo topics list` and `apply`: the topic map of `schemas/topics.py`, and its creation on a broker."""

import asyncio
from pathlib import Path

from fakturo.cli.connect import settings_of
from fakturo.cli.output import console, print_json, print_rows
from fakturo.consumers.runtime.topic_admin import apply_topics
from fakturo.schemas.topics import TOPICS


def show(*, as_json: bool) -> None:
    """Print the map: who writes, who reads, key, retention."""
    rows = [
        {
            "topic": topic.name,
            "written_by": topic.owner or "others",
            "read_by": ", ".join(topic.readers) or "others",
            "key": topic.key,
            "kept": "last of each key" if topic.compacted else _days(topic.retention_days),
            "description": topic.description,
        }
        for topic in TOPICS.values()
    ]
    print_rows("Topics", rows, empty="There are no topics.", as_json=as_json)


def apply(home: Path, *, as_json: bool) -> None:
    """Create what is missing and say what was."""
    created = asyncio.run(apply_topics(settings_of(home)))
    if as_json:
        print_json({"created": created})
        return
    console.print(f"Created {len(created)} topics." if created else "All topics are there.")
    for name in created:
        console.print(f"  {name}")


def _days(days: int | None) -> str:
    return "for ever" if days is None else f"{days} days"
