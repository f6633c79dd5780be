"""Matrix: usage split by its dimensions; the first cell that matches prices it, by a full price of its own.

Rules     what lands in one cell is totalled, or rated event by event with the matrix's `per_event`. Cells where nothing
          landed cost nothing. What no cell matches takes `default`; without one it is an error. Usage without groups
          and events matches only cells that ask nothing.
Modifiers of the matrix that change quantities (increments, transform, free units) hold in each cell by itself; those
          that change the amount hold for the sum of the cells.
Source    PRICING.md, the table of models; Lago "charge filters", Meteroid "matrix".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from fakturo.engine.errors import PriceError
from fakturo.engine.explanations import Phrase
from fakturo.engine.money import ZERO
from fakturo.engine.prices.model import Amounts, Setting
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage, UsageEvent

if TYPE_CHECKING:
    from fakturo.engine.prices.price import Price

NestedParser = Callable[[object, str], "Price | None"]
"""Reads the price document of a cell that stands at a path; None where it has faults, which are noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`match` holds dimension -> text; an empty one matches everything."""

    match: Mapping[str, str]
    price: "Price"

    def holds(self, group: Mapping[str, str]) -> bool:
        """Return whether every entry of `match` holds for `group`."""
        return all(group.get(name, "") == text for name, text in self.match.items())

    def part(self, landed: Sequence[tuple[int, Usage]], quantity: Decimal, setting: Setting) -> Part:
        """Return what the cell's price makes of each usage, times its sign, as one part that names what matched."""
        amount, phrases, unit_amounts = ZERO, list[Phrase](), set[Decimal | None]()
        for sign, usage in landed:
            charge = self.price.charge(usage, span=setting.span, final=setting.final)
            amount += sign * charge.amount
            if len(landed) == 1:
                phrases = [part.phrase for part in charge.parts]
                unit_amounts = {part.unit_amount for part in charge.parts}
        if len(landed) > 1:
            phrases = [("events", len(landed))]
        label = " ".join(self.match.values())
        said = phrases or [("nothing",)]
        return Part(
            phrase=("cell", label, *said) if label else ("cell_other", *said),
            quantity=quantity,
            unit_amount=unit_amounts.pop() if len(unit_amounts) == 1 else None,
            amount=amount,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Cells in the order of the document; a default is kept as a last cell that matches everything."""

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...] = field(default=())

    rates_events: ClassVar[bool] = False
    amounts: ClassVar[Amounts] = Amounts.UNREAD

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part for each cell that usage landed in, in the cells' order.

        Raises:
            PriceError: `price_matrix_no_cell`, `price_matrix_dimension`.
        """
        return tuple(cell.part([(1, landed)], landed.quantity, setting) for cell, landed in self.split(usage))

    def split(self, usage: Usage) -> list[tuple[Cell, Usage]]:
        """Return the cells that usage landed in, each with all that landed there, in the cells' order.

        Raises as `parts`.
        """
        quantities: dict[int, Decimal] = {}
        for group, quantity in self._groups(usage):
            index = self._index(group)
            quantities[index] = quantities.get(index, ZERO) + quantity
        events: dict[int, list[UsageEvent]] | None = None if usage.events is None else {}
        for event in usage.events or ():
            index = self._index(event.properties)
            if events is not None:
                events.setdefault(index, []).append(event)
            if not usage.groups:
                quantities[index] = quantities.get(index, ZERO) + event.quantity
        found = sorted(quantities.items())
        return [
            (
                self.cells[index],
                Usage(quantity=quantity, events=None if events is None else tuple(events.get(index, ()))),
            )
            for index, quantity in found
        ]

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: the next unit's price depends on where it lands."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: it depends on where the unit lands."""
        return None

    def _index(self, group: Mapping[str, str]) -> int:
        for index, cell in enumerate(self.cells):
            if cell.holds(group):
                return index
        found = ", ".join(f"{name} {group.get(name, '')!r}" for name in self.dimensions)
        raise PriceError("price_matrix_no_cell", f"no cell matches {found}, and there is no default", "price")

    def _groups(self, usage: Usage) -> list[tuple[Mapping[str, str], Decimal]]:
        """Return the groups with their quantities; none where the events tell them."""
        if not usage.groups:
            empty = dict.fromkeys(usage.dimensions, "")
            return [(empty, usage.quantity)] if usage.quantity and usage.events is None else []
        missing = [name for name in self.dimensions if name not in usage.dimensions]
        if missing:
            raise PriceError(
                "price_matrix_dimension", f"usage is not grouped by {', '.join(missing)}", "price.dimensions"
            )
        return [(dict(zip(usage.dimensions, texts, strict=True)), one) for texts, one in sorted(usage.groups.items())]


def read(reader: Reader, parse_nested: NestedParser) -> Matrix:
    """Return the model that the document describes; a cell with faults is left out of it."""
    dimensions = reader.texts("dimensions")
    cells = []
    for row in reader.readers("cells"):
        match = row.text_map("match", allowed=dimensions)
        price = parse_nested(row.take("price"), row.path_of("price"))
        row.finish("a cell")
        if price is not None:
            cells.append(Cell(match=match, price=price))
    if reader.has("default"):
        price = parse_nested(reader.take("default"), reader.path_of("default"))
        if price is not None:
            cells.append(Cell(match={}, price=price))
    return Matrix(dimensions=dimensions, cells=tuple(cells))
