"""Checked access to a price document: faults are noted with their paths and reading goes on, so that all are found.

Place     JSON or YAML mapping -> [this] -> models and modifiers. What a faulty field gives is a stand-in that is thrown
          away with the whole document.
Paths     `price.tiers[1].up_to`; messages name the field without the document: "tiers[1].up_to 5 is not above 10".
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from fakturo.engine.decimals import parse_decimal, plain_decimal
from fakturo.engine.errors import PriceError
from fakturo.engine.money import ZERO

T = TypeVar("T")


class Reader:
    """A mapping of a document that is being read; `faults` is shared by all readers of the document.

    `path` is where the mapping stands, `name` the same as messages say it (without the document).
    """

    def __init__(self, document: object, path: str, faults: list[PriceError], name: str = "") -> None:
        self.path = path
        self._name = name
        self._faults = faults
        self._taken: set[str] = set()
        self._fields: Mapping[str, object] = {}
        if type(document) is dict or isinstance(document, Mapping):
            self._fields = document
        else:
            faults.append(PriceError("field_type", f"{name or path} {document!r} is not an object", path))

    def has(self, field: str) -> bool:
        """Return whether the field is there, and count it as read; null counts as absent."""
        self._taken.add(field)
        return self._fields.get(field) is not None

    def is_null(self, field: str) -> bool:
        """Return whether the field is null or absent, and count it as read."""
        return not self.has(field)

    def take(self, field: str) -> object:
        """Return the raw value, None where absent, and count it as read."""
        self._taken.add(field)
        return self._fields.get(field)

    def path_of(self, field: str) -> str:
        """Return where the field stands."""
        return f"{self.path}.{field}" if self.path else field

    def fault(self, code: str, field: str, message: str) -> None:
        """Note what is wrong with a field; the message begins with the field's name."""
        self._faults.append(PriceError(code, f"{self._named(field)} {message}", self.path_of(field)))

    def decimal(self, field: str, *, default: Decimal | None = None, above_zero: bool = False) -> Decimal:
        """Return a number that is not below 0 (or above 0); without a default the field must be there."""
        value = self.take(field)
        if value is None:
            if default is None:
                self.fault("field_missing", field, "is missing")
            return default or ZERO
        number = plain_decimal(value)  # what most numbers are, read without working out where they stand
        if number is None:
            try:
                number = parse_decimal(value, self.path_of(field), name=self._named(field))
            except PriceError as error:
                self._faults.append(error)
                return ZERO
        if above_zero and not number:
            self.fault("number_zero", field, "must be above 0")
        return number

    def optional_decimal(self, field: str) -> Decimal | None:
        """Return a number that is not below 0, or None where the field is absent."""
        return self.decimal(field) if self.has(field) else None

    def whole(self, field: str, *, default: int) -> int:
        """Return a whole number that is not below 0."""
        number = self.decimal(field, default=Decimal(default))
        if number != number.to_integral_value():
            self.fault("number_not_whole", field, f"{number:f} is not a whole number")
            return default
        return int(number)

    def choice(self, field: str, known: Sequence[T], *, default: T) -> T:
        """Return the one of `known` whose text stands there."""
        value = self.take(field)
        if value is None:
            return default
        for one in known:
            if value == one:
                return one
        self.fault("field_choice", field, f"{value!r} is none of {', '.join(str(one) for one in known)}")
        return default

    def flag(self, field: str) -> bool:
        """Return true or false; false where absent."""
        value = self.take(field)
        if isinstance(value, bool) or value is None:
            return bool(value)
        self.fault("field_type", field, f"{value!r} is neither true nor false")
        return False

    def text(self, field: str, *, default: str | None = None) -> str:
        """Return a text that is not empty; without a default the field must be there."""
        value = self.take(field)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value:
            return value
        if value is None:
            self.fault("field_missing", field, "is missing")
        else:
            self.fault("field_type", field, f"{value!r} is not a text")
        return default or ""

    def texts(self, field: str) -> tuple[str, ...]:
        """Return a list of texts; empty where absent."""
        value = self.take(field)
        if value is None:
            return ()
        if isinstance(value, list | tuple) and all(isinstance(one, str) and one for one in value):
            return tuple(value)
        self.fault("field_type", field, f"{value!r} is not a list of texts")
        return ()

    def text_map(self, field: str, *, allowed: Sequence[str]) -> dict[str, str]:
        """Return names to texts; each name must be among `allowed`. Integers and truth values become texts."""
        nested = self.reader(field)
        return {name: nested.scalar(name) for name in nested.names() if self._allows(nested, name, allowed)}

    def scalar(self, field: str) -> str:
        """Return a text, an integer or a truth value as the text that a dimension would be."""
        value = self.take(field)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int):
            return str(value)
        self.fault("field_type", field, f"{value!r} is not a text")
        return ""

    def names(self) -> list[str]:
        """Return the names of the fields, in the document's order."""
        return [str(name) for name in self._fields]

    def reader(self, field: str) -> "Reader":
        """Return a reader of the object that stands there; of an empty one where it is absent."""
        value = self.take(field)
        return Reader({} if value is None else value, self.path_of(field), self._faults, self._named(field))

    def readers(self, field: str) -> list["Reader"]:
        """Return a reader for each object of a list; the list must be there and not be empty."""
        value = self.take(field)
        if not isinstance(value, list | tuple) or not value:
            code = "field_missing" if value is None else "field_type"
            self.fault(code, field, "is missing" if value is None else "is not a list with at least one entry")
            return []
        path, name = self.path_of(field), self._named(field)
        return [Reader(one, f"{path}[{index}]", self._faults, f"{name}[{index}]") for index, one in enumerate(value)]

    def finish(self, what: str) -> None:
        """Note every field that nobody has read: a misspelt cap must not mean no cap."""
        if self._taken.issuperset(self._fields):
            return
        for name in self.names():
            if name not in self._taken:
                self.fault("field_unknown", name, f"is not a field of {what}")

    def _named(self, field: str) -> str:
        return f"{self._name}.{field}" if self._name else field

    @staticmethod
    def _allows(nested: "Reader", name: str, allowed: Sequence[str]) -> bool:
        if name not in allowed:
            nested.fault("field_unknown", name, f"is none of the dimensions {', '.join(allowed) or '(there are none)'}")
        return name in allowed
