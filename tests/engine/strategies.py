"""What the engine's property tests draw from: numbers of the price language, tiers, ascending quantities."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

quantities = st.decimals(min_value=0, max_value=10**7, places=3, allow_nan=False, allow_infinity=False)
instants = st.integers(-300_000_000, 2_200_000_000).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)
amounts = st.decimals(min_value=0, max_value=10**5, places=4, allow_nan=False, allow_infinity=False)


def text(value: Decimal) -> str:
    """Return a number as a document of the price language has it."""
    return f"{value:f}"


@st.composite
def tiered(draw: st.DrawFn, model: str) -> dict[str, Any]:
    """Draw a price with one to five tiers, with fractional bounds and flat amounts."""
    bounds = sorted(draw(st.sets(st.decimals(min_value="0.5", max_value=50, places=1), max_size=4)))
    tiers = [
        {"up_to": None if bound is None else text(bound), "unit_amount": text(draw(amounts)), "flat_amount": text(flat)}
        for bound in [*bounds, None]
        for flat in [draw(amounts)]
    ]
    return {"model": model, "tiers": tiers}


@st.composite
def prices(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a price of any model that takes a plain quantity, with any of its modifiers."""
    model = draw(st.sampled_from(["flat", "per_unit", "graduated", "volume", "package"]))
    document: dict[str, Any] = {"model": model}
    match model:
        case "flat":
            document["amount"] = text(draw(amounts))
        case "per_unit":
            document["unit_amount"] = text(draw(amounts))
        case "package":
            document["package_size"] = text(draw(st.decimals(min_value="0.1", max_value=5000, places=1)))
            document["package_amount"] = text(draw(amounts))
            document["round"] = draw(st.sampled_from(["up", "down"]))
        case _:
            document = draw(tiered(model))
    if draw(st.booleans()):
        document["free_units"] = text(draw(quantities))
    if draw(st.booleans()):
        document["discount"] = {"percent": text(draw(st.decimals(min_value=0, max_value=100, places=2)))}
    if draw(st.booleans()):
        document["maximum_amount"] = text(draw(amounts))
    if draw(st.booleans()):
        document["minimum_amount"] = text(draw(amounts))
    return document
