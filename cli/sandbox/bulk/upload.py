"""An uploaded CSV: its columns as the object's fields, its lines as values to be written.

Place     ingest.py -> [this] -> a transaction of the org.
Rules     An empty cell leaves the field as it is, `#N/A` sets it to null. `Rel__r.Ext__c` (or `Type:Rel.Ext__c`)
          names a parent by its external id. A column that the object hasn't fails the whole job, before anything is
          written.
Source    Bulk API 2.0 Developer Guide, "Prepare CSV Files", "Relationship Fields in a Header Row".
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fakturo.cli.sandbox.errors import OrgError
from fakturo.cli.sandbox.metadata import SObject
from fakturo.cli.sandbox.org import SandboxOrg

NULL = "#N/A"
_LONGEST_CELL = 131_072


class InvalidBatch(Exception):
    """The upload as a whole can't be processed; the text becomes the job's errorMessage."""

    def __str__(self) -> str:
        return f"InvalidBatch : {super().__str__()}"


@dataclass(frozen=True, slots=True)
class _Heading:
    """One column: a field of the object, or of the parent that `relationship` leads to (`target`: its object)."""

    text: str
    field: str
    reference: str | None = None
    relationship: str | None = None
    target: str | None = None


class Upload:
    """An uploaded CSV, read line by line. Raises InvalidBatch where it can't be read."""

    def __init__(self, org: SandboxOrg, entity: SObject, content: bytes, delimiter: str) -> None:
        self._content = content
        self._delimiter = delimiter
        self.columns = self._first_line()
        self._headings = [_heading(org, entity, text) for text in self.columns]
        fields = [heading.text.lower() for heading in self._headings]
        doubled = next((text for text in fields if fields.count(text) > 1), None)
        if doubled is not None:
            raise InvalidBatch(f"Duplicate field name in the header row : {doubled}")

    def lines(self) -> Iterator[list[str]]:
        """The lines behind the header, empty ones left out. Raises InvalidBatch for one that is too long or short."""
        reader = self._reader()
        next(reader, None)
        while True:
            try:
                line = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise InvalidBatch(f"Line {reader.line_num} can't be read: {error}") from None
            if line and len(line) != len(self.columns):
                raise InvalidBatch(f"Line {reader.line_num} has {len(line)} cells, the header row {len(self.columns)}")
            if line:
                yield line

    def values(self, line: Sequence[str]) -> dict[str, Any]:
        """A line's values by field name, as the body of a REST write has them."""
        values: dict[str, Any] = {}
        for heading, cell in zip(self._headings, line, strict=True):
            if cell == "":
                continue
            value = None if cell == NULL else cell
            if heading.relationship is None:
                values[heading.field] = value
            elif value is None:
                values[heading.reference or heading.field] = None
            else:
                values[heading.relationship] = _parent(heading, value)
        return values

    def _first_line(self) -> list[str]:
        try:
            line: list[str] = next(self._reader(), [])
        except (csv.Error, UnicodeDecodeError) as error:
            raise InvalidBatch(f"The header row can't be read: {error}") from None
        if not line:
            raise InvalidBatch("The upload has no header row")
        return [text.strip() for text in line]

    def _reader(self) -> Any:
        """A reader from the first line on; a byte order mark before it is passed over."""
        text = io.TextIOWrapper(io.BytesIO(self._content), encoding="utf-8-sig", newline="")
        return csv.reader(text, delimiter=self._delimiter, strict=True)


def _heading(org: SandboxOrg, entity: SObject, text: str) -> _Heading:
    """What a column's name means."""
    path, field_name = text.rpartition(".")[::2]
    target_name, relationship = path.rpartition(":")[::2]
    if not path:
        field = entity.find(text)
        if field is None:
            raise InvalidBatch(f"Field name not found : {text}")
        return _Heading(text, field.name)
    reference = entity.by_relationship(relationship)
    if reference is None:
        raise InvalidBatch(f"Field name not found : {text}")
    target = org.object(target_name or reference.reference_to[0])
    found = target.find(field_name)
    if found is None or not (found.external_id or found.name == "Id"):
        raise InvalidBatch(f"Field name not found : {text} (it names no external id of {target.name})")
    return _Heading(text, found.name, reference.name, reference.relationship_name, target.name)


def _parent(heading: _Heading, value: str) -> dict[str, Any]:
    """A parent as REST names it."""
    return {"attributes": {"type": heading.target}, heading.field: value}


def error_text(error: OrgError) -> str:
    """`sf__Error` of a record: `CODE:message:fields --`."""
    return f"{error.code}:{error.message}:{','.join(error.fields)} --"


csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
