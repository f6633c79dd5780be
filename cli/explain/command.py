"""`fakturo explain LINE`: finds the line in one snapshot of the books and says how its amount came about.

Place     the command line -> [this] -> explaining -> view or JSON.
"""

from pathlib import Path

from fakturo.cli.connect import read_books
from fakturo.cli.explain.explaining import explain
from fakturo.cli.explain.view import print_explanation
from fakturo.cli.output import errors, print_json


def run_explain(home: Path, line: str, events: int, *, as_json: bool) -> int:
    """Explain the line; return 1 where there is none."""
    answer = read_books(home, lambda connection: explain(connection, line, events))
    if answer is None:
        errors.print(
            f"fakturo explain: there is no line {line}. `fakturo invoices list` shows the documents and "
            "`fakturo invoices show DOCUMENT` the ids of its lines; DOCUMENT:3 is its third line, and "
            "DOCUMENT:discount:1 its first discount.",
            markup=False,
            highlight=False,
        )
        return 1
    if as_json:
        print_json(answer)
    else:
        print_explanation(answer)
    return 0
