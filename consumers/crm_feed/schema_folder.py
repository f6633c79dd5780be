"""The event schemas that an administrator has fetched from the org, one a file.

Place     FAKTURO_CRM_SCHEMAS -> [this], once at the start -> tagged_avro, field_kinds.
Form      what `GET /services/data/vXX.0/event/eventSchema/<id>?payloadFormat=COMPACT` answers. The id is its `uuid`, or
          the file's name without `.json` or `.avsc`.
"""

from pathlib import Path

import msgspec

from fakturo.consumers.crm_feed.shapes.event_schemas import EventSchema, EventSchemas, SchemaFault, read_event_schema
from fakturo.consumers.runtime.errors import SettingsFault

SUFFIXES = (".json", ".avsc")


def load_event_schemas(folder: Path | None) -> EventSchemas:
    """Return the schemas in `folder`; none where no folder is set.

    Raises:
        SettingsFault: the folder or a file in it can't be read, or is no schema of a change event.
    """
    if folder is None:
        return EventSchemas()
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError as error:
        raise SettingsFault(f"FAKTURO_CRM_SCHEMAS: {folder}: {error.strerror}") from error
    return EventSchemas(_load(path) for path in files)


def _load(path: Path) -> EventSchema:
    try:
        document = msgspec.json.decode(path.read_bytes())
        schema_id = None if isinstance(document, dict) and document.get("uuid") else path.stem
        return read_event_schema(document, schema_id)
    except (OSError, msgspec.DecodeError, SchemaFault) as error:
        raise SettingsFault(f"FAKTURO_CRM_SCHEMAS: {path.name}: {error}") from error
