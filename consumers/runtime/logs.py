"""Structured logs on stderr: one line an event, JSON or for people, ours and the libraries' alike.

Place     called once by a process's main; everything else says `structlog.get_logger(__name__)` or uses stdlib logging.
Bound     agent and instance on every line; topic, partition, offset where the caller binds them.
Repeats   a library that says the same of an absent broker fifty times a second is heard once a minute.
Crashes   of C code (a signal like SIGSEGV) leave the Python stack of each thread on stderr, as plain lines.
Secrets   the password in any `scheme://user:password@host` is masked, also inside exceptions' texts.
"""

import faulthandler
import logging
import re
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, TextIO

import structlog

_PASSWORD = re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@")
QUIET = {"aiokafka": logging.WARNING, "faust": logging.WARNING, "mode": logging.WARNING, "asyncio": logging.WARNING}
REPEAT_SECONDS = 60.0


class Repeats(logging.Filter):
    """Lets each message of the libraries through once a minute, whatever its arguments; ours always."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._said_at: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the line is written."""
        if record.name.split(".")[0] not in QUIET:
            return True
        key, now = (record.name, str(record.msg)), self._clock()
        if now - self._said_at.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return False
        self._said_at[key] = now
        return True


def mask(text: str) -> str:
    """Return `text` with the password of every URL replaced by three stars."""
    return _PASSWORD.sub(r"\1:***@", text)


def mask_secrets(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask URL passwords in every text of a log line (a structlog processor)."""
    for key, value in event.items():
        if isinstance(value, str) and "://" in value:
            event[key] = mask(value)
    return event


def configure_logs(log_format: str, agent: str, instance: str = "0", stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (stderr) as `json` or `console`, with agent and instance bound.

    Where they go to the process's own stderr, what crashes the interpreter itself is told there too.
    """
    if stream is None and sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
    ]
    as_json = log_format == "json"
    tail: list[Any] = [structlog.processors.format_exc_info, mask_secrets]
    tail.append(structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False))
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(agent=agent, instance=instance)
