"""What the `documents` agent publishes on `billing.documents`: where a rendered invoice lies."""

import msgspec

from fakturo.schemas.envelope import Instant

DOCUMENT_RENDERED = "fakturo.document.rendered.v1"


class DocumentRendered(msgspec.Struct, frozen=True, kw_only=True):
    """One rendering of an invoice or credit note. `sha256` is that of the bytes at `location`, in hexadecimal.

    `kind` is what was rendered ("invoice", "credit_note"), `media_type` how ("application/pdf", "application/xml").
    """

    invoice_id: str
    account: str
    kind: str
    locale: str
    media_type: str
    sha256: str
    location: str
    recorded_at: Instant | None = None


TYPES: dict[str, type[msgspec.Struct]] = {DOCUMENT_RENDERED: DocumentRendered}
