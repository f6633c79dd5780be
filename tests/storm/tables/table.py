"""What is said of a table of the books, and the reasons for which something is not compared.

Place     [this] -> usage, invoicing, ledger, kpi, crm_sync beside it -> compared.py.
"""

from dataclasses import dataclass, field

APPENDED = "append time: when the tick or event that brought it was recorded"
NUMBERED = "the order of invoice numbers is that of the commits"
HASH_OF_NUMBER = "hash of an event that holds the invoice's number"
MOVED = "where it lies in the topic; a driver that had to send again moves it"
IN_ORDER_OF_INSERTION = "a surrogate given in the order of insertion; the row's content is compared"

ON_THE_WAY = "what is on its way, or where a worker stands; what came of it is compared"
INPUT = "the input as it stands here; what was made of it is compared"
IDENTITIES = "identities of what was booked, with hashes that hold numbers; the rows are compared"
NOTHING_HERE = "the storm's price list has no points, caps or commitments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of the books: `columns` are compared.

    `left_out` says of each other column why it is not compared; `without` names the keys of a JSON column that are not,
    `where` the rows that are compared, if not all.
    """

    name: str
    columns: tuple[str, ...]
    without: dict[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    where: str = ""
