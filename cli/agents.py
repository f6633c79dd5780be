"""`fakturo agent NAME`: one process of one agent, of the relay, the clock or the Salesforce bridge.

Place     started by a deployment, by `fakturo up` or `demo`; reads its settings from the environment and nothing else.
"""

import asyncio
import gc
import importlib
from collections.abc import Callable

import uvloop

from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings, load_salesforce_settings
from fakturo.consumers.runtime.settings import Settings, load_settings

AGENTS = ("contracts", "usage", "invoicing", "ledger", "kpi", "crm_sync")
"""The agents that have a handler; each module `fakturo.consumers.<name>.app` has `run(settings) -> int`."""

CRM_FEED = "crm_feed"
"""Runs only where FAKTURO_CRM_TOPICS names topics of another Salesforce connector."""
BRIDGE = "salesforce"
"""Runs only where FAKTURO_SALESFORCE_LOGIN_URL and its credentials name an org."""
PROCESSES = (*AGENTS, CRM_FEED, "relay", "clock", BRIDGE)


def agents_of(settings: Settings) -> tuple[str, ...]:
    """Return the agents that run under these settings, hence those whose outbox the relay publishes."""
    return (*AGENTS, CRM_FEED) if settings.crm_topics else AGENTS


def run_agent(name: str) -> int:
    """Run the process called `name` until it is told to stop; return its exit status.

    Raises:
        SettingsFault: an unknown name, or a setting that is missing or wrong.
    """
    if name not in PROCESSES:
        raise SettingsFault(f"agent {name!r} is none of {', '.join(PROCESSES)}")
    work = _work_of(name, load_settings())
    gc.freeze()  # what was imported stays: no collection need look at it again
    gc.enable()
    return work()


def _work_of(name: str, settings: Settings) -> Callable[[], int]:
    """Import what the process `name` needs; return what runs it."""
    if name == "relay":
        from fakturo.consumers.runtime.relay import run_relay

        return lambda: asyncio.run(run_relay(settings, agents_of(settings)))
    if name == "clock":
        from fakturo.producers.clock import run_clock

        return lambda: asyncio.run(run_clock(settings))
    if name == BRIDGE:
        return _bridge(settings)
    module = importlib.import_module(f"fakturo.consumers.{name}.app")
    return lambda: int(module.run(settings))


def salesforce_entities(settings: Settings, salesforce: SalesforceSettings) -> tuple[str, ...]:
    """Return the objects that are read whole: those of the setting, else those that the mapping profile reads.

    Raises:
        SettingsFault: the profile is faulty.
    """
    from fakturo.consumers.contracts.profile_files import load_profile

    named = tuple(name.strip() for name in salesforce.entities.split(",") if name.strip())
    return named or tuple(load_profile(settings.profile).entities())


def _bridge(settings: Settings) -> Callable[[], int]:
    from fakturo.producers.salesforce.app import run_salesforce

    salesforce = load_salesforce_settings()
    entities = salesforce_entities(settings, salesforce)
    return lambda: uvloop.run(run_salesforce(settings, salesforce, entities))
