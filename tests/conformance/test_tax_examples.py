"""Tax on top of and inside of amounts: published examples with their result, in minor units."""

from decimal import Decimal

import pytest

from fakturo.engine.tax.groups import TaxedLine, included_minor, tax_lines, tax_minor
from fakturo.schemas.events.invoices import LineTax

ON_TOP = [
    ("Peppol, bis.beast.se, cac:TaxSubtotal: 31.25 has 7.81", 3_125, "25", 781),
    ("einvoice-explorer.com, BG-23: a credit note of 625,743.54 has 156,435.89", -62_574_354, "25", -15_643_589),
    ("Square, TaxInclusionType, additive: 1.00 has 0.10", 100, "10", 10),
    ("webuser.co.uk, forum 394365: 74.59 has 13.05", 7_459, "17.5", 1_305),
    ("bookkeepers.org.uk, forum 85461: 200 has 35", 20_000, "17.5", 3_500),
    ("styleforum.net, thread 362536: 48 has 9.60", 4_800, "20", 960),
    ("HMRC VATREC12030: half a penny goes up", 1, "50", 1),
]

INSIDE = [
    ("Square, TaxInclusionType, inclusive: of 1.00, 0.09 is tax", 100, "10", 9),
    ("webuser.co.uk, forum 394365: of 87.64, 13.05 is VAT", 8_764, "17.5", 1_305),
    ("bookkeepers.org.uk, forum 85461: of 235, 7/47", 23_500, "17.5", 3_500),
    ("bookkeepers.org.uk, forum 85461: of 240, 1/6", 24_000, "20", 4_000),
    ("bookkeepers.org.uk, forum 85461: of 210, 1/21", 21_000, "5", 1_000),
    ("seagravefrenchbaa.com, Working out your VAT: of 120, 20", 12_000, "20", 2_000),
    ("reference.com, Calculate VAT backwards: of 105, 5", 10_500, "5", 500),
    ("styleforum.net, thread 362536: of 57.60, 9.60", 5_760, "20", 960),
    ("styleforum.net, thread 362536: of 60, 10", 6_000, "20", 1_000),
]


@pytest.mark.parametrize(("taxable", "rate", "tax"), [case[1:] for case in ON_TOP], ids=[case[0] for case in ON_TOP])
def test_a_published_tax_on_top_comes_out(taxable: int, rate: str, tax: int) -> None:
    assert tax_minor(taxable, Decimal(rate)) == tax
    (group,) = tax_lines([TaxedLine(tax=LineTax(category="S", rate_percent=Decimal(rate)), net_minor=taxable)]).groups
    assert (group.taxable_minor, group.tax_minor) == (taxable, tax)


@pytest.mark.parametrize(("gross", "rate", "tax"), [case[1:] for case in INSIDE], ids=[case[0] for case in INSIDE])
def test_a_published_tax_inside_comes_out(gross: int, rate: str, tax: int) -> None:
    assert included_minor(gross, Decimal(rate)) == tax
