"""The `ledger` agent as a process: its handler behind the Faust runner.

Place     `fakturo agent ledger` -> [this] -> consumers/runtime/app.
"""

from fakturo.consumers.ledger.handler import LedgerAgent
from fakturo.consumers.runtime.app import AgentApp, create_app, run_app
from fakturo.consumers.runtime.settings import Settings


def create(settings: Settings) -> AgentApp:
    """Return the agent with everything around it, not yet started."""
    return create_app(LedgerAgent(settings), settings, "faust")


def run(settings: Settings) -> int:
    """Run the agent until it is told to stop; return the exit status."""
    return run_app(create(settings))
