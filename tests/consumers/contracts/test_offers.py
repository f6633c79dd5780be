"""The catalog file: read at start, or refused in one go."""

from pathlib import Path

import pytest

from fakturo.consumers.contracts.offers import Offers, load_offers
from fakturo.consumers.runtime.errors import SettingsFault


def test_without_a_catalog_nothing_is_offered() -> None:
    assert load_offers(None) == Offers(currency=None, by_code={})


def test_a_missing_file_is_a_wrong_setting_and_says_which(tmp_path: Path) -> None:
    with pytest.raises(SettingsFault, match=r"FAKTURO_CATALOG: .*prices\.yaml cannot be read"):
        load_offers(tmp_path / "prices.yaml")


def test_a_file_that_is_no_yaml_is_a_wrong_setting(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: [")
    with pytest.raises(SettingsFault, match="cannot be read"):
        load_offers(path)


def test_the_fingerprint_follows_the_content(offers: Offers) -> None:
    fewer = Offers(currency="USD", by_code={"TERMINAL": offers.by_code["TERMINAL"]})
    assert offers.fingerprint != fewer.fingerprint
    assert offers.fingerprint == Offers(currency="USD", by_code=dict(reversed(offers.by_code.items()))).fingerprint
