"""Matrix: usage split by its dimensions; the first cell that matches a group prices it, by a full price of its own.

Rules     the groups that land in one cell are totalled. Cells where nothing landed cost nothing. A group that no cell
          matches takes `default`; without one it is an error. Usage without groups matches only cells that ask nothing.
Source    PRICING.md, the table of models; Lago "charge filters", Meteroid "matrix".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, ClassVar

from fakturo.engine.errors import PriceError
from fakturo.engine.money import ZERO
from fakturo.engine.prices.model import Setting
from fakturo.engine.prices.reading import Reader
from fakturo.engine.prices.usage import Part, Step, Usage, usage_of

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
        return all(group.get(name) == text for name, text in self.match.items())

    def part(self, quantity: Decimal, setting: Setting) -> Part:
        """Return what the cell's price makes of `quantity`, as one part that begins with the matched texts."""
        charge = self.price.charge(usage_of(quantity), span=setting.span, final=setting.final)
        label = " ".join(self.match.values())
        phrases = (part.phrase for part in charge.parts)
        unit_amounts = {part.unit_amount for part in charge.parts}
        return Part(
            phrase=("cell", label, *phrases) if label else ("cell_other", *phrases),
            quantity=quantity,
            unit_amount=unit_amounts.pop() if len(unit_amounts) == 1 else None,
            amount=charge.amount,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Cells in the order of the document; a default is kept as a last cell that matches everything."""

    rates_events: ClassVar[bool] = False
    reads_amounts: ClassVar[bool] = False

    dimensions: tuple[str, ...]
    cells: tuple[Cell, ...] = field(default=())

    def parts(self, usage: Usage, setting: Setting) -> tuple[Part, ...]:
        """Return one part for each cell that usage landed in, in the cells' order.

        Raises:
            PriceError: `price_matrix_no_cell`, `price_matrix_dimension`.
        """
        totals = self._totals(usage)
        parts = []
        for index, quantity in sorted(totals.items()):
            parts.append(self.cells[index].part(quantity, setting))
        return tuple(parts)

    def step(self, quantity: Decimal) -> Step | None:
        """Return None: the next unit's price depends on where it lands."""
        return None

    def first_unit_amount(self) -> Decimal | None:
        """Return None: it depends on where the unit lands."""
        return None

    def _totals(self, usage: Usage) -> dict[int, Decimal]:
        """Return the quantity of each cell that usage landed in, by the cell's index."""
        totals: dict[int, Decimal] = {}
        for texts, quantity in self._groups(usage):
            group = dict(zip(usage.dimensions, texts, strict=True))
            index = next((index for index, cell in enumerate(self.cells) if cell.holds(group)), None)
            if index is None:
                found = ", ".join(f"{name} {group.get(name, '')!r}" for name in self.dimensions)
                raise PriceError("price_matrix_no_cell", f"no cell matches {found}, and there is no default", "price")
            totals[index] = totals.get(index, ZERO) + quantity
        return totals

    def _groups(self, usage: Usage) -> list[tuple[tuple[str, ...], Decimal]]:
        if not usage.groups:
            return [(("",) * len(usage.dimensions), usage.quantity)] if usage.quantity else []
        missing = [name for name in self.dimensions if name not in usage.dimensions]
        if missing:
            raise PriceError(
                "price_matrix_dimension", f"usage is not grouped by {', '.join(missing)}", "price.dimensions"
            )
        return sorted(usage.groups.items())


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
