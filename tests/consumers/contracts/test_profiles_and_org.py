"""The shipped profiles name fields that an org has, as the sandbox describes them, and custom fields of ours alone."""

import pytest

from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.consumers.contracts.profile_files import SHIPPED, load_profile
from fakturo.schemas.salesforce.compounds import dotted_to_flat

OURS = "Fakturo_"
FITTING = {
    "number": {"currency", "double", "int", "percent"},
    "date": {"date", "datetime"},
    "reference": {"reference"},
}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_of_a_shipped_profile_is_one_of_its_object(name: str) -> None:
    profile, org = load_profile(name), SandboxOrg()
    for entity in profile.entities():
        known = set(org.objects[entity].fields)
        asked = {dotted_to_flat(field) for field in profile.fields_of(entity) if not field.startswith(OURS)}
        assert asked - known == set(), entity


@pytest.mark.parametrize("name", SHIPPED)
def test_every_field_that_must_be_a_number_a_date_or_a_reference_is_one(name: str) -> None:
    profile, org = load_profile(name), SandboxOrg()
    for entity in profile.entities():
        fields = org.objects[entity].fields
        kinds = {
            "number": profile.number_fields(entity),
            "date": profile.date_fields(entity),
            "reference": profile.reference_fields(entity),
        }
        for kind, names in kinds.items():
            found = {field: fields[field].type for field in names if field in fields}
            assert {field: type_ for field, type_ in found.items() if type_ not in FITTING[kind]} == {}, (entity, kind)
