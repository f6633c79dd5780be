"""The rates of value added tax by country, category and date: the European Union, and GB, CH and NO.

Place     price list's own rates, else this table -> [this] -> treatment, which says whose rate it is.
Names     `standard`; `reduced` and `reduced_2` are in the order of the Commission's table of January 2015, and a rate
          that a country brought in later takes the free name, so that a name goes on meaning the same things. Where a
          country merged two rates both names stay. `super_reduced` is below 5 %. `zero` is 0 everywhere.
Holds     the rates of a country as a whole. What belongs to which rate, and the islands and enclaves with rates of
          their own (Canary Islands, Madeira, Corsica, ...), the price list says itself: its `rates` go first.
Source    Standard rates: European Commission, DG TAXUD, "VAT rates applied in the Member States of the European Union"
          (June 2021, section VIII, their evolution) and its Taxes in Europe Database (TEDB), both as transcribed in
          github.com/vatnode/eu-vat-rates-data, data/eu-vat-rates-history.json of 2026-09-23; DE 2020: Zweites
          Corona-Steuerhilfegesetz, art. 3. Reduced rates: the Commission's lists of 2014 and 2021 as reprinted by
          regfollower.com and easytax.co, github.com/ibericode/vat-rates, and notices of the changes (LT: Law XV-287).
          GB, CH and NO: HMRC, ESTV and Skatteetaten, not checked against their own tables. Check a reduced rate before
          you rely on it, and put it into `rates`.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from types import MappingProxyType

from fakturo.engine.money import ZERO
from fakturo.schemas.events.contracts import TaxRate

_MEMBERS = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK"
EU = frozenset(_MEMBERS.split())
"""The member states, by ISO 3166; Northern Ireland, which is in it for goods alone, is not."""

RATE_CATEGORIES = ("standard", "reduced", "reduced_2", "super_reduced", "zero")

# country: from-date rate from-date rate ...; a rate holds until the next date.
_STANDARD = """
AT 1984-01-01 20
BE 1996-01-01 21
BG 1999-01-01 20
CY 2003-01-01 15 2012-03-01 17 2013-01-14 18 2014-01-13 19
CZ 2010-01-01 20 2013-01-01 21
DE 2007-01-01 19 2020-07-01 16 2021-01-01 19
DK 1992-01-01 25
EE 2009-07-01 20 2024-01-01 22 2025-07-01 24
ES 1995-01-01 16 2010-07-01 18 2012-09-01 21
FI 1994-06-01 22 2010-07-01 23 2013-01-01 24 2024-09-01 25.5
FR 2000-04-01 19.6 2014-01-01 20
GR 2005-04-01 19 2010-03-15 21 2010-07-01 23 2016-06-01 24
HR 2009-08-01 23 2012-03-01 25
HU 2009-07-01 25 2012-01-01 27
IE 2010-01-01 21 2012-01-01 23 2020-09-01 21 2021-03-01 23
IT 1997-10-01 20 2011-09-17 21 2013-10-01 22
LT 2009-09-01 21
LU 1992-01-01 15 2015-01-01 17 2023-01-01 16 2024-01-01 17
LV 2009-01-01 21 2011-01-01 22 2012-07-01 21
MT 2004-01-01 18
NL 2001-01-01 19 2012-10-01 21
PL 1993-07-05 22 2011-01-01 23
PT 2008-07-01 20 2010-07-01 21 2011-01-01 23
RO 2000-01-01 19 2010-07-01 24 2016-01-01 20 2017-01-01 19 2025-08-01 21
SE 1990-07-01 25
SI 2002-01-01 20 2013-07-01 22
SK 2004-01-01 19 2011-01-01 20 2025-01-01 23
GB 2010-01-01 17.5 2011-01-04 20
CH 2001-01-01 7.6 2011-01-01 8 2018-01-01 7.7 2024-01-01 8.1
NO 2005-01-01 25
"""
_REDUCED = """
AT 2015-01-01 10
BE 2015-01-01 6
BG 2015-01-01 9
CY 2015-01-01 5
CZ 2015-01-01 10 2024-01-01 12
DE 2015-01-01 7 2020-07-01 5 2021-01-01 7
EE 2015-01-01 9
ES 2015-01-01 10
FI 2015-01-01 10
FR 2015-01-01 5.5
GR 2015-01-01 6.5 2015-07-20 6
HR 2015-01-01 5
HU 2015-01-01 5
IE 2015-01-01 9
IT 2015-01-01 10
LT 2015-01-01 5
LU 2015-01-01 8 2023-01-01 7 2024-01-01 8
LV 2015-01-01 12
MT 2015-01-01 5
NL 2015-01-01 6 2019-01-01 9
PL 2015-01-01 5
PT 2015-01-01 6
RO 2015-01-01 5 2025-08-01 11
SE 2015-01-01 6
SI 2015-01-01 9.5
SK 2015-01-01 10 2025-01-01 5
GB 2011-01-04 5
CH 2011-01-01 2.5 2024-01-01 2.6
NO 2015-01-01 15
"""
_REDUCED_2 = """
AT 2016-01-01 13
BE 2015-01-01 12
CY 2015-01-01 9
CZ 2015-01-01 15 2024-01-01 12
EE 2025-01-01 13
FI 2015-01-01 14 2026-01-01 13.5
FR 2015-01-01 10
GR 2015-01-01 13
HR 2015-01-01 13
HU 2015-01-01 18
IE 2015-01-01 13.5
IT 2016-01-01 5
LT 2015-01-01 9 2026-01-01 12
LU 2015-01-01 14 2023-01-01 13 2024-01-01 14
LV 2018-01-01 5
MT 2015-01-01 7
PL 2015-01-01 8
PT 2015-01-01 13
RO 2015-01-01 9 2025-08-01 11
SE 2015-01-01 12
SI 2020-01-01 5
SK 2025-01-01 19
CH 2011-01-01 3.8 2018-01-01 3.7 2024-01-01 3.8
NO 2015-01-01 8 2016-01-01 10 2018-01-01 12 2020-04-01 6 2021-10-01 12
"""
_SUPER_REDUCED = """
ES 2015-01-01 4
FR 2015-01-01 2.1
IE 2015-01-01 4.8
IT 2015-01-01 4
LU 2015-01-01 3
"""


def _table() -> Mapping[tuple[str, str], tuple[TaxRate, ...]]:
    texts = {"standard": _STANDARD, "reduced": _REDUCED, "reduced_2": _REDUCED_2, "super_reduced": _SUPER_REDUCED}
    found = {}
    for category, text in texts.items():
        for country, *pairs in (row.split() for row in text.strip().splitlines()):
            found[country, category] = tuple(
                TaxRate(
                    country=country,
                    category=category,
                    effective_from=date.fromisoformat(from_date),
                    rate_percent=Decimal(rate),
                )
                for from_date, rate in zip(pairs[::2], pairs[1::2], strict=True)
            )
    return MappingProxyType(found)


RATES = _table()
"""(country, category) -> its rates, ascending by date."""


def rate_of(country: str, category: str, on: date, own: Iterable[TaxRate] = ()) -> Decimal | None:
    """Return the rate, in percent, of a category in a country on a date; None where it is not known.

    A price list's `own` rates of that country and category replace the built-in ones from the first of them on.
    """
    if category == "zero":
        return ZERO
    named = [rate for rate in own if rate.country == country and rate.category == category]
    ruling = max((rate for rate in named if rate.effective_from <= on), key=_begin, default=None)
    if ruling is None:
        known = RATES.get((country, category), ())
        ruling = max((rate for rate in known if rate.effective_from <= on), key=_begin, default=None)
    return None if ruling is None else ruling.rate_percent


def _begin(rate: TaxRate) -> date:
    return rate.effective_from
