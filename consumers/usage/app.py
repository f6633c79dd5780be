"""The `usage` agent as a process: its handler behind the bulk runner, as its topic brings the most events of all.

Place     `fakturo agent usage` -> [this] -> consumers/runtime/app.
"""

from fakturo.consumers.runtime.app import AgentApp, create_app, run_app
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.usage.handler import UsageAgent
from fakturo.consumers.usage.retention import Keeper

FLUSH_REST = 4.0
"""In a backlog a flush waits four times as long as the last one took: running statements take a fifth of the time."""


def create(settings: Settings) -> AgentApp:
    """Return the agent with everything around it, not yet started."""
    beside = [] if settings.usage_retention_months is None else [Keeper(settings)]
    return create_app(UsageAgent(settings), settings, runner="bulk", beside=beside, flush_soon=FLUSH_REST)


def run(settings: Settings) -> int:
    """Run the agent until it is told to stop; return the exit status."""
    return run_app(create(settings))
