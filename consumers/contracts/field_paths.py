"""How a profile writes a field: its name, a field of another record (`ContractId->Contract.EndDate`), or a formula.

Place     profile files name them -> [this] -> profile (which objects and fields are read), derived (their values).
Path      `<reference field>-><Object>.<field>`, as often as needed: `PricebookEntryId->PricebookEntry.ProductId->...`.
          Compounds stay dotted: `BillToContactId->Contact.MailingAddress.City`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from fakturo.consumers.contracts.formulas import Field, Node, fields_in, parse

FORMULA = "="
ARROW = "->"
HOPS_MAX = 3
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Hop:
    """From a record, by the reference in `field`, to a record of `entity`."""

    field: str
    entity: str


@dataclass(frozen=True, slots=True)
class FieldPath:
    """`hops` lead to the record whose `field` is meant; without hops it is the record's own."""

    hops: tuple[Hop, ...]
    field: str


def parse_path(text: str) -> FieldPath:
    """Return the path that `text` writes.

    Raises:
        ValueError: it is none; the message ends the sentence "<text> ...".
    """
    first, *rest = text.split(ARROW)
    hops: list[Hop] = []
    field = first
    for part in rest:
        entity, dot, following = part.partition(".")
        if not dot or not entity:
            raise ValueError(f"needs the object and its field behind the arrow: {field}{ARROW}Object.Field")
        hops.append(Hop(field, entity))
        field = following
    if len(hops) > HOPS_MAX:
        raise ValueError(f"goes over {len(hops)} references; {HOPS_MAX} are the most")
    for name in (*(hop.field for hop in hops), *(hop.entity for hop in hops), field):
        if not _NAME.fullmatch(name):
            raise ValueError(f"holds {name!r}, which is no name of Salesforce (letters, digits, _; compounds A.B)")
    return FieldPath(tuple(hops), field)


ValueMap = Mapping[str, Any]
"""What a value of Salesforce (as text) means to us; a value that is not in it stays as it is."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that is worked out: its name (as the profile writes it), its tree and the paths that it reads."""

    name: str
    node: Node
    paths: Mapping[str, FieldPath]


@cache
def derived_of(name: str) -> Derived | None:
    """Return how `name` is worked out, None where it is a field of the record itself.

    Raises:
        FormulaFault: a formula that cannot be read.
        ValueError: a path that cannot be read, in a formula too.
    """
    if name.startswith(FORMULA):
        node = parse(name)
        return Derived(name, node, {path: parse_path(path) for path in sorted(fields_in(node))})
    path = parse_path(name)
    return Derived(name, Field(name), {name: path}) if path.hops else None
