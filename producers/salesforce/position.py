"""Where the stream stands: what lies in `sf.progress` of it, and which replay id is safe to go on from.

Place     stream_session.py -> [this] -> publishing.py, in the transaction of the events that it follows.
Rule      replay ids are opaque: never computed, compared by order or counted. Several events may share one (enriched
          events do), and the org goes on *after* the one it is given. So the safe id is the last one before the newest
          until the org itself says that nothing is left (an empty response): what comes again after a restart is
          recognised by `remembered`.
"""

import base64

import msgspec


class StreamPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The stream's position. `replay_id` and `remembered` (digests of the newest events) are base64.

    `committed_ms` is the newest commit that was published, `at_ms` when this was written; both since 1970.
    """

    replay_id: str
    at_ms: int
    committed_ms: int | None = None
    remembered: str = ""

    @property
    def replay_bytes(self) -> bytes:
        """Return the replay id as the org gave it."""
        return base64.b64decode(self.replay_id)


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(StreamPosition)


def encode_position(position: StreamPosition) -> bytes:
    """Return what is written to `sf.progress`."""
    return _encoder.encode(position)


def decode_position(value: bytes) -> StreamPosition:
    """Return the position that `value` holds.

    Raises:
        msgspec.DecodeError, msgspec.ValidationError: it holds none.
    """
    return _decoder.decode(value)


class ReplayPlace:
    """Follows the replay ids of a stream and knows the safe one to go on from; None before the first."""

    def __init__(self, replay_id: bytes | None = None) -> None:
        self._before = replay_id
        self._newest = replay_id

    @property
    def safe(self) -> bytes | None:
        """Return the id after which nothing has been missed."""
        return self._before if self._before is not None else self._newest

    def passed(self, replay_id: bytes) -> None:
        """Say that an event of this id has been taken."""
        if replay_id != self._newest:
            self._before, self._newest = self._newest, replay_id

    def settled(self, replay_id: bytes) -> None:
        """Say that the org has told everything up to this id."""
        self._before = self._newest = replay_id
