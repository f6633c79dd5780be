"""How a command finds the org and its objects: the settings of the environment, as the bridge reads them.

Place     `fakturo salesforce ...` -> [this] -> Org; FAKTURO_SALESFORCE_* and, for the objects, the mapping profile.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fakturo.cli.agents import salesforce_entities
from fakturo.cli.connect import settings_of
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.errors import AuthenticationRefused, OrgFault, OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import load_salesforce_settings


@asynccontextmanager
async def opened_org() -> AsyncIterator[Org]:
    """Let ourselves into the org of the settings until the block is left.

    Raises:
        SettingsFault: a setting is missing, or the org does not let us in or fails; the text holds no secret.
        OrgRefused: what the block asked for is not to be had.
    """
    org = Org(load_salesforce_settings())
    try:
        await org.open()
        yield org
    except OrgRefused:
        raise  # what was asked is wrong, not the connection
    except AuthenticationRefused as fault:
        raise SettingsFault(f"the org does not let us in: {fault}") from None
    except OrgFault as fault:
        raise SettingsFault(f"the org: {fault}") from None
    finally:
        await org.close()


def entities_of(home: Path) -> tuple[str, ...]:
    """Return the objects that the bridge reads whole: those of the settings, else those of the profile."""
    return salesforce_entities(settings_of(home), load_salesforce_settings())
