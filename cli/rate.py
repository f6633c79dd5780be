"""`fakturo rate`: JSON Lines in, JSON Lines out; one answer for each line, in order, in constant memory.

Place     standard input or a file -> [this] -> engine/rate_lines -> standard output. No broker, no database.
Flow      what has come is answered at once, so a program may write a line and wait for its answer; a pipe that is
          always full is read and written in pieces of `CHUNK_BYTES`.
Exit      0 every line was rated; 1 some line was not; 2 wrong options, or a file that cannot be opened.
Starts    without typer, rich and the rest: a price costs less than their import.
"""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from fakturo.engine.explanations import LANGUAGES
from fakturo.engine.rate_lines import LINE_BYTES_MAX, RateLines

CHUNK_BYTES = 262_144
GARBAGE_OBJECTS = 100_000
"""Nearly nothing here is cyclic (errors are): looking for it each 700 objects takes a tenth of the time."""


def run_rate(arguments: Sequence[str]) -> int:
    """Rate what the options name; return the exit status."""
    options = _options(arguments)
    gc.set_threshold(GARBAGE_OBJECTS)
    rater = RateLines(locale=options.locale, with_explanations=options.explain)
    try:
        source = sys.stdin.buffer if options.file is None else options.file.open("rb")
    except OSError as error:
        sys.stderr.write(f"fakturo rate: {options.file}: {error.strerror}\n")
        return 2
    try:
        with source:
            return 0 if rate_stream(source, sys.stdout.buffer, rater) else 1
    except BrokenPipeError:
        # Whoever read our answers has seen enough; nothing may be flushed at exit into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def rate_stream(source: BinaryIO, target: BinaryIO, rater: RateLines) -> bool:
    """Answer every line of `source` on `target`; return whether all were rated."""
    all_rated = True
    number = 0
    for lines in _pieces(source):
        answers = []
        for line in lines:
            number += 1
            answered = rater.too_long(number) if line is None else rater.answer(line, number)
            all_rated = all_rated and answered.rated
            answers.append(answered.content)
        answers.append(b"")
        target.write(b"\n".join(answers))
        target.flush()
    return all_rated


def _pieces(source: BinaryIO) -> Iterator[list[bytes | None]]:
    """Yield the complete lines of each piece that was read, without their ends; None for one that is too long.

    Of a line that is too long nothing is kept, so memory is bounded whatever comes.
    """
    read = getattr(source, "read1", source.read)
    rest: list[bytes] = []
    rest_bytes, is_too_long = 0, False
    while piece := read(CHUNK_BYTES):
        first, *others = piece.split(b"\n")
        rest_bytes += len(first)
        is_too_long = is_too_long or rest_bytes > LINE_BYTES_MAX
        rest = [] if is_too_long else [*rest, first] if not others else rest
        if not others:
            continue
        head = None if is_too_long else b"".join([*rest, first])
        *whole, last = others
        yield [head, *whole]
        rest, rest_bytes, is_too_long = [last], len(last), False
    if rest_bytes:
        yield [None if is_too_long else b"".join(rest)]


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fakturo rate", description="Rate JSON Lines: a price and a usage each.")
    parser.add_argument("--file", type=Path, help="read this file instead of standard input")
    parser.add_argument("--explain", action="store_true", help="add the sentence that a customer reads on the invoice")
    parser.add_argument("--locale", choices=LANGUAGES, default="en", help="the language of descriptions")
    return parser.parse_args(arguments)
