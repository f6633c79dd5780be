"""What the broker calls a topic: ours carry the prefix, other people's topics are called what they call them.

Place     runners, faust_transport, startup, lag -> [this]. Records, cursors and dead letters hold the logical name.
Rule      a topic of the map (schemas/topics.py) is `prefix + name`; any other name that an agent is told to read is the
          broker's own and never gets our prefix. What we write of it (`<topic>.dlq`) is ours and does.
"""

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.schemas.topics import TOPICS


def broker_name(topic: str, prefix: str) -> str:
    """Return what the broker calls the logical `topic`."""
    return prefix + topic if topic in TOPICS else topic


def logical_name(name: str, prefix: str) -> str:
    """Return the logical name of the topic that the broker calls `name`."""
    bare = name.removeprefix(prefix)
    return bare if bare in TOPICS else name


def parse_foreign_topics(text: str, prefix: str) -> tuple[str, ...]:
    """Return the topics that a setting names, `a,b`, in their order; each once.

    Raises:
        SettingsFault: one of them is a topic of ours, or its dead letters'.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        bare = name.removeprefix(prefix)
        if bare in TOPICS or bare.removesuffix(".dlq") in TOPICS:
            raise SettingsFault(f"FAKTURO_CRM_TOPICS: {name} is ours; name another connector's topics")
    return names
