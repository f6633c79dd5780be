"""The process of the contracts agent: a few records a second, read through Faust.

Place     `fakturo agent contracts` -> [this] -> runtime/app -> handler.
"""

from fakturo.consumers.contracts.handler import ContractsAgent
from fakturo.consumers.runtime.app import AgentApp, create_app, run_app
from fakturo.consumers.runtime.settings import Settings


def create(settings: Settings) -> AgentApp:
    """Return the agent with its runtime, not yet started.

    Raises:
        SettingsFault: the catalog file cannot be read, or is refused.
    """
    return create_app(ContractsAgent(settings), settings, runner="faust", flush_soon=1.0)


def run(settings: Settings) -> int:
    """Run until told to stop; return the exit status."""
    return run_app(create(settings))
