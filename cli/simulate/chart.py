"""The chart of a simulation: two bars for each customer, at the present prices and at the new list's, as SVG.

Place     result -> [this: a Vega-Lite specification] -> vl-convert (no browser, no network) -> an SVG file.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import vl_convert

from fakturo.cli.output import amount_text
from fakturo.cli.simulate.result import Simulation, largest, percent_text

CUSTOMERS_MAX = 25
"""More bars than this nobody reads; the table has them all."""

NOW, SIMULATED = "now", "simulated"


def write_chart(simulation: Simulation, path: Path) -> None:
    """Write the SVG of `simulation` to `path`."""
    path.write_text(vl_convert.vegalite_to_svg(specification(simulation)))


def specification(simulation: Simulation) -> dict[str, Any]:
    """Return the Vega-Lite specification."""
    totals = "; ".join(
        f"{amount_text(one.current_minor, one.currency, grouped=True)} {one.currency} to "
        f"{amount_text(one.simulated_minor, one.currency, grouped=True)} ({percent_text(one)})"
        for one in simulation.totals()
    )
    shown = largest(simulation.customers, CUSTOMERS_MAX)
    left_out = len(simulation.customers) - len(shown)
    title = f"What customers would have paid, {simulation.start_on} to {simulation.end_on}"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {
            "text": title + (f" (the {len(shown)} largest of {len(shown) + left_out})" if left_out else ""),
            "subtitle": f"Net: {totals}",
            "anchor": "start",
        },
        "data": {"values": _values(simulation)},
        "mark": {"type": "bar"},
        "width": 640,
        "height": {"step": 14},
        "encoding": {
            "y": {"field": "customer", "type": "nominal", "sort": None, "title": None},
            "yOffset": {"field": "list", "sort": [NOW, SIMULATED]},
            "x": {"field": "amount", "type": "quantitative", "title": "net amount", "axis": {"format": "~s"}},
            "color": {
                "field": "list",
                "type": "nominal",
                "title": None,
                "scale": {"domain": [NOW, SIMULATED], "range": ["#9aa5b1", "#2f6fde"]},
            },
        },
    }


def _values(simulation: Simulation) -> list[dict[str, Any]]:
    several = len({one.currency for one in simulation.customers}) > 1
    return [
        {
            "customer": f"{one.name}{f' ({one.currency})' if several else ''} {percent_text(one)}".rstrip(),
            "list": which,
            "amount": str(Decimal(amount_text(minor, one.currency))),
        }
        for one in largest(simulation.customers, CUSTOMERS_MAX)
        for which, minor in ((NOW, one.current_minor), (SIMULATED, one.simulated_minor))
    ]
