"""`fakturo dlq list|show|replay|discard`: what could not be processed, why, and what to do about it.

Place     people -> [this] -> consumers/runtime/dead_letter_book -> the outbox -> the topic it came from.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from fakturo.cli.connect import connect, read_books
from fakturo.cli.output import console, errors, print_json, print_rows
from fakturo.consumers.runtime.dead_letter_book import (
    DeadLetter,
    UnknownLetter,
    discard_letters,
    list_letters,
    replay_letters,
    show_letter,
)
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.schemas.dead_letters import DeadLetterReason

Result = TypeVar("Result")


def list_open(home: Path, agent: str | None, reason: str | None, *, as_json: bool) -> None:
    """Print the open dead letters, newest first."""
    known = _reason(reason)
    letters = read_books(home, lambda connection: list_letters(connection, agent=agent, reason=known))
    rows = [_row(letter) for letter in letters]
    print_rows("Dead letters", rows, empty="There are no open dead letters.", as_json=as_json)


def show(home: Path, letter_id: int, *, as_json: bool) -> int:
    """Print one dead letter whole; return the exit status."""
    try:
        letter = read_books(home, lambda connection: show_letter(connection, letter_id))
    except UnknownLetter as fault:
        errors.print(f"fakturo dlq: {fault}")
        return 1
    document = {
        **_row(letter),
        "key": _text(letter.key),
        "headers": {name: _text(value) for name, value in letter.headers},
        "recorded_at": letter.recorded_at,
        "status": letter.status,
        "value": _text(letter.value),
    }
    if as_json:
        print_json(document)
    else:
        for name, content in document.items():
            console.print(f"[bold]{name.replace('_', ' '):>17}[/bold]  ", end="")
            console.print(str(content), markup=False, highlight=False, soft_wrap=True)
    return 0


def replay(home: Path, letters: list[int], mended: Path | None, *, as_json: bool) -> int:
    """Publish letters again on their topics, one with a mended body if given; return the exit status."""
    value = mended.read_bytes() if mended else None
    if value is not None and len(letters) != 1:
        raise SettingsFault("--value mends one letter: name one number")
    done = _write(home, lambda connection: replay_letters(connection, letters, value=value))
    return _report(done, "published again", as_json=as_json)


def discard(home: Path, letters: list[int], *, as_json: bool) -> int:
    """Set letters aside; return the exit status."""
    done = _write(home, lambda connection: discard_letters(connection, letters))
    return _report(done, "set aside", as_json=as_json)


def _write(home: Path, work: Callable[[asyncpg.Connection], Awaitable[Result]]) -> Result | UnknownLetter:
    async def connected() -> Result | UnknownLetter:
        connection = await connect(home)
        try:
            return await work(connection)
        except UnknownLetter as fault:
            return fault
        finally:
            await connection.close()

    return asyncio.run(connected())


def _report(done: list[DeadLetter] | UnknownLetter, what: str, *, as_json: bool) -> int:
    if isinstance(done, UnknownLetter):
        errors.print(f"fakturo dlq: {done}; nothing was done")
        return 1
    if as_json:
        print_json([{**_row(letter), "status": str(letter.status)} for letter in done])
        return 0
    for letter in done:
        console.print(f"{letter.id} ({letter.topic}, {letter.reason}) {what}", highlight=False)
    return 0


def _reason(reason: str | None) -> DeadLetterReason | None:
    if reason is None:
        return None
    try:
        return DeadLetterReason(reason)
    except ValueError as error:
        raise SettingsFault(f"reason {reason!r} is none of {', '.join(DeadLetterReason)}") from error


def _row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "agent": letter.agent,
        "from": f"{letter.topic}-{letter.partition}@{letter.offset}",
        "reason": str(letter.reason),
        "message": letter.message,
        "at": letter.dead_lettered_at,
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")
