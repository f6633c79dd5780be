"""Phrases in three languages, with each locale's numbers and dates; the sentences are checked by hand."""

from typing import Any

import msgspec
import pytest

from fakturo.engine.explanations import LANGUAGES, explain
from fakturo.engine.explanations.numbers import numbers_of
from fakturo.engine.explanations.phrasebook import BOOKS, Speaker
from fakturo.engine.prices import parse_price, usage_of
from fakturo.engine.rating import RateRequest, RateResult, rate

MOVEMENT = {
    "model": "graduated",
    "tiers": [{"up_to": "500", "unit_amount": "120"}, {"up_to": None, "unit_amount": "110"}],
}


def rated(document: dict[str, Any], quantity: int, **options: Any) -> RateResult:
    return rate(RateRequest(price=parse_price(document, "DKK"), usage=usage_of(quantity), **options))


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        ("en", "1,735 movements: 500 at 120.00, 1,235 at 110.00"),
        ("da", "1.735 movements: 500 à 120,00; 1.235 à 110,00"),
        ("de", "1.735 movements: 500 zu je 120,00; 1.235 zu je 110,00"),
        ("da-DK", "1.735 movements: 500 à 120,00; 1.235 à 110,00"),
        ("de_CH", "1’735 movements: 500 zu je 120.00; 1’235 zu je 110.00"),
        ("fr", "1,735 movements: 500 at 120.00, 1,235 at 110.00"),
        ("", "1,735 movements: 500 at 120.00, 1,235 at 110.00"),
    ],
)
def test_a_line_says_in_each_language_how_it_came_about(locale: str, sentence: str) -> None:
    assert explain(rated(MOVEMENT, 1735, unit="movements").phrases, locale) == sentence


def test_phrases_come_back_from_json_the_same() -> None:
    phrases = rated(MOVEMENT, 1735, billed=usage_of(20)).phrases
    read = msgspec.json.decode(msgspec.json.encode(phrases))
    for language in LANGUAGES:
        assert explain(read, language) == explain(phrases, language)
    assert explain(read, "de") == (
        "1.735 Einheiten: 500 zu je 120,00; 1.235 zu je 110,00; abzüglich bereits berechneter 2.400,00"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_key_has_a_row_in_every_language_with_the_same_arguments(language: str) -> None:
    english, other = BOOKS["en"], BOOKS[language]
    assert sorted(other.rows) == sorted(english.rows)
    formats = numbers_of("en")
    assert Speaker(other, formats).kinds == Speaker(english, formats).kinds


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en", ["999", "1,000", "-1,234.5", "0.0015", "1,234,567,890,123,456,789,012,345.5"]),
        ("da", ["999", "1.000", "-1.234,5", "0,0015", "1.234.567.890.123.456.789.012.345,5"]),
        ("de", ["999", "1.000", "-1.234,5", "0,0015", "1.234.567.890.123.456.789.012.345,5"]),
        ("en-IN", ["999", "1,000", "-1,234.5", "0.0015", "12,34,56,78,90,12,34,56,78,90,12,345.5"]),
    ],
)
def test_numbers_are_written_as_the_locale_writes_them(locale: str, expected: list[str]) -> None:
    plain = ["999", "1000", "-1234.5", "0.0015", "1234567890123456789012345.5"]
    assert [numbers_of(locale).number(text) for text in plain] == expected


def test_dates_are_written_as_the_locale_writes_them() -> None:
    days = [numbers_of(locale).date("2013-06-10") for locale in ("en", "da", "de")]
    assert days == ["Jun 10, 2013", "10. jun. 2013", "10.06.2013"]
