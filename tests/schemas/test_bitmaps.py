"""The bitmaps of Salesforce's own samples (Pub/Sub API documentation, recorded in the reference)."""

from typing import Any

import pytest

from fakturo.schemas.salesforce.bitmaps import BitmapFault, decode_bitmaps, encode_bitmaps, layout_of

ADDRESS = {
    "type": "record",
    "name": "Address",
    "fields": [{"name": n, "type": "string"} for n in ("Street", "City", "State")],
}
NAMES = {1: "Name", 2: "Type", 3: "ParentId", 4: "BillingAddress", 5: "ShippingAddress", 6: "Phone", 7: "Fax"}
OTHERS = {0: "ChangeEventHeader", 11: "Industry", 16: "Description", 22: "LastModifiedDate"}
KINDS: dict[str, Any] = {"BillingAddress": ["null", ADDRESS], "ShippingAddress": ["null", "Address"]}
SCHEMA = {
    "fields": [
        {"name": name, "type": KINDS.get(name, ["null", "string"])}
        for name in ((NAMES | OTHERS).get(position, f"Field{position}") for position in range(24))
    ]
}
LAYOUT = layout_of(SCHEMA)

SAMPLES = [
    (["0x400800"], ("Industry", "LastModifiedDate")),
    (["0x400080"], ("Fax", "LastModifiedDate")),
    (["0x400000", "4-0x01"], ("BillingAddress.Street", "LastModifiedDate")),
    (["0x400000", "5-0x06"], ("ShippingAddress.City", "ShippingAddress.State", "LastModifiedDate")),
    (["0x010000"], ("Description",)),
    (["0x410000"], ("Description", "LastModifiedDate")),
    (["4-0x01"], ("BillingAddress.Street",)),
]


@pytest.mark.parametrize(("elements", "names"), SAMPLES)
def test_the_official_samples_decode(elements: list[str], names: tuple[str, ...]) -> None:
    assert decode_bitmaps(elements, LAYOUT) == names


@pytest.mark.parametrize(("elements", "names"), SAMPLES)
def test_the_official_samples_are_encoded_to_the_letter(elements: list[str], names: tuple[str, ...]) -> None:
    assert encode_bitmaps(reversed(names), LAYOUT) == elements


@pytest.mark.parametrize(
    "element", ["", "400800", "0x", "0xZZ", "-1-0x01", "4-400800", "0x1000000", "4-0x08", "1-0x01"]
)
def test_what_is_no_bitmap_of_the_schema_is_refused(element: str) -> None:
    with pytest.raises(BitmapFault):
        decode_bitmaps([element], LAYOUT)
