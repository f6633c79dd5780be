"""What the sandbox org knows of its objects: fields with their describe types, and what the change event lacks.

Place     objects/*.yaml and deployed packages -> [this] -> validation, describe, SOQL, the Avro schemas of the bus.
Rules     A field's `type` is the word that Salesforce's describe uses (`currency`, `reference`, `datetime`, ...).
          A compound (`BillingAddress`, type `address`; `Name` of a person, type `string`) is a field of its own, and
          each part names it in `compound`: rows hold the parts (`BillingStreet`), never the compound.
Source    Object Reference for the Salesforce Platform; `describeSObjectResult`.
"""

from dataclasses import dataclass, field, replace

NUMBERS = frozenset({"currency", "double", "percent"})
"""Types whose values are Decimals; `int` holds an int."""
TEXTS = frozenset(
    ("string", "textarea", "picklist", "multipicklist", "combobox", "email", "phone", "url", "encryptedstring")
)
COMPOUNDS = frozenset({"address", "location"})

ADDRESS_PARTS: tuple[tuple[str, dict[str, object]], ...] = (
    ("Street", {"type": "textarea", "length": 255}),
    ("City", {"type": "string", "length": 40}),
    ("State", {"type": "string", "length": 80}),
    ("PostalCode", {"type": "string", "length": 20}),
    ("Country", {"type": "string", "length": 80}),
    ("StateCode", {"type": "picklist", "length": 10}),
    ("CountryCode", {"type": "picklist", "length": 10}),
    ("Latitude", {"type": "double", "precision": 18, "scale": 15}),
    ("Longitude", {"type": "double", "precision": 18, "scale": 15}),
    ("GeocodeAccuracy", {"type": "picklist", "length": 40}),
)
"""The parts of an address in the order of describe and of the event's Address record, state and country codes on."""

PERSON_NAME_PARTS = ("Salutation", "FirstName", "LastName")


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of an object, in the words of describe.

    `precision` and `scale` count decimal digits (all, and after the point). `in_event` false: the object has it and
    its change event does not. `cascade`: a master-detail reference, deleted with its parent. `auto_number`: the
    display format (`INV-{0000}`), the org counts. `custom_id`: the 00N id that the event schema's doc names.
    """

    name: str
    type: str
    label: str = ""
    length: int = 0
    precision: int = 0
    scale: int = 0
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    child_relationship: str | None = None
    external_id: bool = False
    unique: bool = False
    case_sensitive: bool = False
    required: bool = False
    default: object = None
    calculated: bool = False
    createable: bool = True
    updateable: bool = True
    compound: str | None = None
    picklist: tuple[str, ...] = ()
    restricted: bool = False
    name_field: bool = False
    auto_number: str | None = None
    cascade: bool = False
    in_event: bool = True
    custom_id: str | None = None

    @property
    def custom(self) -> bool:
        """Whether an administrator or a package made it."""
        return self.name.endswith("__c")

    @property
    def is_compound(self) -> bool:
        """Whether rows hold its parts instead of it."""
        return self.type in COMPOUNDS

    @property
    def nillable(self) -> bool:
        """Whether it may be empty."""
        return not self.required and self.type not in {"id", "boolean"}

    @property
    def indexed(self) -> bool:
        """Whether the org finds records by its value."""
        return self.external_id or self.unique or self.cascade


@dataclass(kw_only=True)
class SObject:
    """An object: its names, the first three characters of its record ids, its fields in their order."""

    name: str
    label: str
    label_plural: str
    key_prefix: str
    fields: dict[str, Field] = field(default_factory=dict)
    cdc: bool = True
    createable: bool = True
    history_of: str | None = None

    def __post_init__(self) -> None:
        self._by_lower: dict[str, Field] = {}
        self._by_relationship: dict[str, Field] = {}
        self.required_names: tuple[str, ...] = ()
        self.defaults: tuple[tuple[str, object], ...] = ()
        self.auto_numbers: tuple[tuple[str, str], ...] = ()
        self.address_prefixes: tuple[str, ...] = ()
        self.index_names()

    @property
    def custom(self) -> bool:
        """Whether an administrator or a package made it."""
        return self.name.endswith("__c")

    @property
    def event_name(self) -> str:
        """The name of its change event: `AccountChangeEvent`, `SBQQ__Subscription__ChangeEvent`."""
        return self.name.removesuffix("__c") + ("__ChangeEvent" if self.custom else "ChangeEvent")

    def find(self, name: str) -> Field | None:
        """Return the field of that name, which Salesforce compares without regard to capitals."""
        return self.fields.get(name) or self._by_lower.get(name.lower())

    def by_relationship(self, name: str) -> Field | None:
        """Return the reference that `name` follows: `Account` -> AccountId, `Parent__r` -> Parent__c."""
        return self._by_relationship.get(name.lower())

    def put(self, *fields: Field) -> None:
        """Add fields, or set them anew in their old places."""
        for one in fields:
            self.fields[one.name] = one if one.label else replace(one, label=one.name)
        self.index_names()

    def number(self, name: str, custom_id: str) -> None:
        """Give a custom field its 00N id."""
        self.fields[name] = replace(self.fields[name], custom_id=custom_id)
        self.index_names()

    def remove(self, name: str) -> None:
        """Take a field away."""
        del self.fields[name]
        self.index_names()

    def index_names(self) -> None:
        """Rebuild the look-ups by name."""
        self._by_lower = {one.name.lower(): one for one in self.fields.values()}
        self._by_relationship = {
            one.relationship_name.lower(): one for one in self.fields.values() if one.relationship_name
        }
        every = list(self.fields.values())
        self.required_names = tuple(one.name for one in every if one.required)
        self.defaults = tuple(
            (one.name, one.default if one.default is not None else False)
            for one in every
            if one.default is not None or (one.type == "boolean" and one.name != "IsDeleted")
        )
        self.auto_numbers = tuple((one.name, one.auto_number) for one in every if one.auto_number)
        self.address_prefixes = tuple(one.name.removesuffix("Address") for one in every if one.type == "address")


def relationship_name_of(name: str) -> str:
    """Return the name that a reference is followed by: `AccountId` -> `Account`, `Parent__c` -> `Parent__r`."""
    return f"{name.removesuffix('__c')}__r" if name.endswith("__c") else name.removesuffix("Id")


def address_parts(compound: str) -> list[Field]:
    """Return the parts of the address `compound` (`BillingAddress` -> BillingStreet, BillingCity, ...)."""
    prefix = compound.removesuffix("Address")
    return [
        Field(name=f"{prefix}{part}", label=f"{prefix} {part}", compound=compound, **spec)  # type: ignore[arg-type]
        for part, spec in ADDRESS_PARTS
    ]
