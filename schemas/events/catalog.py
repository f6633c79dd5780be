"""A price list as `fakturo catalog publish` puts it on `billing.catalog`."""

from typing import Any

import msgspec

CATALOG_PUBLISHED = "fakturo.catalog.published.v1"


class CatalogPublished(msgspec.Struct, frozen=True, kw_only=True):
    """The whole price list; `hash` is the SHA-256 of the canonical JSON of `document`.

    `replaces` is the hash of the list that it was made from: where another one holds by now, it is refused, for
    somebody else published in between. A list that changes what was in force before today is refused too, unless
    `allow_backdated` says that it is meant.
    """

    hash: str
    document: dict[str, Any]
    replaces: str | None = None
    published_by: str = ""
    allow_backdated: bool = False


TYPES: dict[str, type[msgspec.Struct]] = {CATALOG_PUBLISHED: CatalogPublished}
