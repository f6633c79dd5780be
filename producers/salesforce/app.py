"""The process `salesforce`: settings, health, metrics, signals around the bridge.

Place     `fakturo agent salesforce` -> [this] -> bridge.py.
Health    `/readyz` follows progress: unready where the org has said nothing, or Kafka has taken nothing, for 300 s, and
          where an administrator must look. `/livez` follows the loop alone: a restart helps against nothing else.
"""

from collections.abc import Sequence

from fakturo.consumers.runtime.health import HealthServer
from fakturo.consumers.runtime.health_checks import broker_check, database_check
from fakturo.consumers.runtime.logs import configure_logs
from fakturo.consumers.runtime.metrics import initialise_bridge
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.tasks import run_until_told
from fakturo.producers.salesforce.bridge import Bridge
from fakturo.producers.salesforce.errors import ACTIONS, OTHER
from fakturo.producers.salesforce.intake import AGENT, CHANGE_TYPES, entity_label
from fakturo.producers.salesforce.stream import FIRST_START, POSITION_LOST
from fakturo.schemas.topics import SF_TOPICS

POLICIES = ("resync", "latest", "earliest", "fail")
REASONS = (
    *("gap", "overflow", "text_diff", "inexact_number", "unknown_change_type", "undecodable"),
    *(FIRST_START, POSITION_LOST),
)


async def run_salesforce(settings: Settings, salesforce: SalesforceSettings, entities: Sequence[str]) -> int:
    """Run the bridge until SIGTERM or SIGINT; return the exit status."""
    configure_logs(settings.log_format, AGENT, settings.instance)
    names = {entity_label(topic.name.removeprefix("sf.cdc.")) for topic in SF_TOPICS}
    initialise_bridge(
        [(entity, kind) for entity in sorted(names) for kind in (*sorted(CHANGE_TYPES), OTHER)],
        (*ACTIONS, OTHER, "ended", "org"),
        POLICIES,
        REASONS,
    )
    bridge = Bridge(settings, salesforce, entities)
    checks = {"database": database_check(settings), "broker": broker_check(settings), "stream": bridge.check}
    server = HealthServer(bridge.health, settings, checks)
    await run_until_told(bridge.run(), server)
    return 0
