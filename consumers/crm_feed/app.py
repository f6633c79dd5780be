"""The process of the crm_feed agent: other people's topics, in batches of whatever has come.

Place     `fakturo agent crm_feed`, where FAKTURO_CRM_TOPICS is set -> [this] -> runtime/app -> handler.
"""

from fakturo.consumers.crm_feed.handler import CrmFeedAgent
from fakturo.consumers.crm_feed.reading import Reader
from fakturo.consumers.crm_feed.registry import SchemaRegistry
from fakturo.consumers.crm_feed.schema_folder import load_event_schemas
from fakturo.consumers.runtime.app import AgentApp, create_app, run_app
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.settings import Settings
from fakturo.consumers.runtime.topic_names import parse_foreign_topics
from fakturo.schemas.topics import SF_RETRY


def create(settings: Settings) -> AgentApp:
    """Return the agent with its runtime, not yet started.

    Raises:
        SettingsFault: no topic is named, one is ours, or the folder of schemas cannot be read.
    """
    topics = parse_foreign_topics(settings.crm_topics, settings.topic_prefix)
    if not topics:
        raise SettingsFault("FAKTURO_CRM_TOPICS names no topic: crm_feed reads those of another Salesforce connector")
    registry = SchemaRegistry(settings.crm_registry_url, settings.crm_registry_auth)
    reader = Reader(registry, load_event_schemas(settings.crm_schemas), settings.crm_shape)
    agent = CrmFeedAgent(reader, org=settings.crm_org or None, client_name=settings.salesforce_client_name)
    return create_app(agent, settings, runner="bulk", more_topics=(SF_RETRY.name, *topics))


def run(settings: Settings) -> int:
    """Run until told to stop; return the exit status."""
    return run_app(create(settings))
