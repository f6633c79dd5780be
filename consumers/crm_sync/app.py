"""The `crm_sync` agent as a process: its handler behind the Faust runner, and the pusher beside it.

Place     `fakturo agent crm_sync` -> [this] -> consumers/runtime/app.
"""

from fakturo.consumers.crm_sync.handler import CrmSyncAgent
from fakturo.consumers.crm_sync.pusher import make_pusher
from fakturo.consumers.runtime.app import AgentApp, create_app, run_app
from fakturo.consumers.runtime.settings import Settings


def create(settings: Settings) -> AgentApp:
    """Return the agent with everything around it, not yet started."""
    return create_app(CrmSyncAgent(settings), settings, "faust", beside=(make_pusher(settings),))


def run(settings: Settings) -> int:
    """Run the agent until it is told to stop; return the exit status."""
    return run_app(create(settings))
