"""How well a customer pays, as a letter: A pays on time, E does not.

Place     the KPI `on_time_rate` (percent of what was paid that came by its due date) -> [this] -> crm_sync -> the org's
          Account.
Rules     the letter is the best one whose percentage is reached; without any payment there is no rating, and no E
          either. Payments that were given back can take the KPI below 0 or above 100: that is still an E or an A.
Source    ours: the five steps are a table, so that whoever disagrees finds one place to change.
"""

from decimal import Decimal

RATINGS: tuple[tuple[str, Decimal], ...] = (
    ("A", Decimal(95)),
    ("B", Decimal(85)),
    ("C", Decimal(70)),
    ("D", Decimal(50)),
)
"""Each letter with the least percentage paid on time that it asks for, best first."""

WORST = "E"


def payer_rating(on_time_percent: Decimal | None) -> str | None:
    """Return the letter of a percentage of the amounts paid that came on time; None where nothing was paid."""
    if on_time_percent is None:
        return None
    return next((letter for letter, least in RATINGS if on_time_percent >= least), WORST)
