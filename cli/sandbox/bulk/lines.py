"""Writes CSV as Bulk API 2.0 does: every cell in quotes, a piece at a time.

Place     ingest.py, query_jobs.py -> [this] -> the body of an answer, as a stream.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from fakturo.cli.sandbox.bulk.jobs import DELIMITERS, LINE_ENDINGS, Job

_PIECE = 2000  # lines that are turned to text at once


def csv_pieces(header: Sequence[str], lines: Iterable[Sequence[Any]], job: Job) -> Iterator[bytes]:
    """The CSV of a header and lines in the job's delimiter and line ending, as pieces of UTF-8."""
    remaining = iter(lines)
    piece: list[Sequence[Any]] = [header]
    while piece:
        text = io.StringIO()
        writer = csv.writer(
            text,
            delimiter=DELIMITERS[job.delimiter],
            lineterminator=LINE_ENDINGS[job.line_ending],
            quoting=csv.QUOTE_ALL,
        )
        writer.writerows(piece)
        yield text.getvalue().encode()
        piece = list(islice(remaining, _PIECE))
