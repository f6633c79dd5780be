"""`fakturo catalog check`: all that is wrong with a file, each with its line and path, as a person wrote it down."""

from pathlib import Path

from typer.testing import CliRunner

from fakturo.cli.catalog.reading import read_catalog
from fakturo.cli.commands import app

FAULTY = Path(__file__).parent / "faulty.yaml"

EXPECTED = """\
2: currancy: currancy is not a field of a catalog (field_unknown)
6: meters.calls.aggregation: aggregation 'total' is none of count, sum, max, min, last, average, unique, weighted_sum (aggregation_unknown)
16: products.API.prices[0].tiers[1].up_to: tiers[1].up_to 5 is not above 10 (price_tier_order)
18: products.API.prices[1].effective_from: products.API.prices[1].effective_from 2026-01-01 is not after 2026-01-01 (price_versions_order)
20: products.API.prices[1].unit_amount: unit_amount 0.1234567890123 has more than 24 digits before or 12 after the point (number_too_long)
23: products.API.prices[2].unit_amount: unit_amount 0.5 is a float; write it as a string, as in "12.50" (number_float)
26: products.SEAT.name: name stands here again; it was in line 25 first (key_repeated)
29: products.SEAT.prices[0].currency: currency 'EUX' is not a currency of ISO 4217 (currency_unknown)
33: products.SEAT.prices[0].maximun_amount: maximun_amount is not a field of a per_unit price (field_unknown)
37: products.LATE.prices[0].effective_from: products.LATE.prices[0].effective_from is missing (field_missing)
"""  # noqa: E501 - a line a fault


def test_every_fault_is_listed_at_once_with_file_line_and_path() -> None:
    result = CliRunner().invoke(app, ["catalog", "check", str(FAULTY)])
    assert result.exit_code == 1
    assert result.stdout == "".join(f"{FAULTY}:{line}" for line in EXPECTED.splitlines(keepends=True))


def _faults(tmp_path: Path, text: str) -> list[tuple[int, str, str]]:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)
    return [(fault.line, fault.path, fault.code) for fault in read_catalog(path).faults]


GOOD = """\
currency: EUR
products:
  FEE: &fee
    name: Fee
    prices:
      - {effective_from: 2026-01-01, model: flat, amount: "5"}
  OTHER:
    <<: *fee
    name: Other fee
"""


def test_anchors_and_merges_are_read_and_a_good_list_has_no_faults(tmp_path: Path) -> None:
    assert _faults(tmp_path, GOOD) == []
    catalog = read_catalog(tmp_path / "catalog.yaml").catalog
    assert catalog is not None
    assert [product.name for product in catalog.products.values()] == ["Fee", "Other fee"]


def test_what_is_not_yaml_says_where(tmp_path: Path) -> None:
    assert _faults(tmp_path, "currency: EUR\nproducts: [\n") == [(3, "", "yaml_syntax")]
    assert _faults(tmp_path, "a: &a [*a]\n")[0][2] == "yaml_structure"
    assert _faults(tmp_path, "")[0][2] == "field_type"


def test_an_alias_of_aliases_does_not_unfold_without_end(tmp_path: Path) -> None:
    rows = ['a0: &a0 ["x"]'] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert [code for _, _, code in _faults(tmp_path, "\n".join(rows))] == ["yaml_structure"]
