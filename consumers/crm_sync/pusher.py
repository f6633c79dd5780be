"""The pusher: a task beside the agent's runner that keeps sending what changed, one worker of the agent at a time.

Place     app -> worker starts [this] -> pushing (a round) -> the org. Reads and writes crm_sync.written alone.
One       a session's advisory lock in Postgres: another worker waits, ready to go on. Every statement of the pusher
          runs on the connection that holds it, so whoever loses the lock can write nothing down.
Faults    the org is away: pauses with jitter. Calls used up: the org is asked once in `ASK_SECONDS` whether it has some
          again. Rights refused: said, and tried again. None of it holds the folding of events.
No org    without FAKTURO_SALESFORCE_LOGIN_URL rows are kept and nothing is sent.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

import asyncpg
import structlog

from fakturo.consumers.crm_sync import push_store
from fakturo.consumers.crm_sync.pace import pause_seconds
from fakturo.consumers.crm_sync.pushing import SIZES, PushRound, Sizes, WritableOrg
from fakturo.consumers.runtime.database import CONNECT_SECONDS_MAX, STATEMENT_SECONDS_MAX
from fakturo.consumers.runtime.database_errors import is_transient
from fakturo.consumers.runtime.health_checks import driver_url
from fakturo.consumers.runtime.metrics import BRIDGE_ALLOCATION_USED, CRM_OLDEST_AGE, CRM_RECORDS, CRM_WRITES
from fakturo.consumers.runtime.salesforce.errors import AllocationUsedUp, OrgFault
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings, load_salesforce_settings_if_set
from fakturo.consumers.runtime.settings import Settings
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS

LOCK = "fakturo crm_sync pusher"
API_CALLS = "DailyApiRequests"
FIRST_PAUSE_SECONDS = 0.5
TROUBLE_SECONDS_MAX = 300.0
"""How long rows may stand still before `/readyz` says so."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rests:
    """The pauses of a pusher, in seconds; tests make them short."""

    idle: float = 1.0
    lease: float = 1.0
    gauges: float = 15.0
    ask: float = 300.0
    trouble_max: float = 60.0


RESTS = Rests()


class OpenableOrg(WritableOrg, Protocol):
    """An org as the pusher needs it, from open to close."""

    async def open(self) -> None:
        """Log in."""

    async def close(self) -> None:
        """Let go."""

    async def limits(self) -> dict[str, Any]:
        """Return the org's limits."""


class Pusher:
    """Sends what is ready until cancelled. `open_org` gives a new, open org; None where there is none."""

    name = "salesforce"

    def __init__(
        self,
        settings: Settings,
        salesforce: SalesforceSettings | None,
        make_org: Callable[[SalesforceSettings], OpenableOrg] = Org,
        *,
        sizes: Sizes = SIZES,
        rests: Rests = RESTS,
    ) -> None:
        self._settings = settings
        self._salesforce = salesforce
        self._make_org = make_org
        self._sizes = sizes
        self._rests = rests
        self._says = "not started"
        self._trouble_since: float | None = None
        self._shown_at: float | None = None

    async def run(self) -> None:
        """Push until cancelled."""
        initialise_metrics()
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._session()
            except OrgFault as fault:
                says = str(fault)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if not is_transient(error):
                    raise
                says = f"the database: {type(error).__name__}: {error}"
            # Only trouble that goes on lengthens the pause; all was well since the last otherwise.
            is_new = self._trouble_since is None
            pause = FIRST_PAUSE_SECONDS if is_new else min(pause * 2, self._rests.trouble_max)
            self._in_trouble(says)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret

    async def check(self) -> tuple[bool, str]:
        """Return whether rows get to the org, with a sentence."""
        since = self._trouble_since
        if since is None:
            return True, self._says
        seconds = time.monotonic() - since
        return seconds <= TROUBLE_SECONDS_MAX, f"for {seconds:.0f} s: {self._says}"

    async def _session(self) -> NoReturn:
        """Push on one connection for as long as it, and the org, do well."""
        connection = await asyncpg.connect(
            driver_url(self._settings.database_url),
            timeout=CONNECT_SECONDS_MAX,
            command_timeout=STATEMENT_SECONDS_MAX,
            server_settings={"application_name": "fakturo crm_sync pusher", "timezone": "UTC"},
        )
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtextextended($1, 0))", LOCK):
                self._well("another worker sends to the org")
                await asyncio.sleep(self._rests.lease)
            if self._salesforce is None:
                await self._without_org(connection)
            else:
                await self._with_org(connection, self._salesforce)
        finally:
            initialise_metrics()  # who takes over says how many there are
            with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await connection.close(timeout=CONNECT_SECONDS_MAX)

    async def _without_org(self, connection: asyncpg.Connection) -> NoReturn:
        while True:
            await self._show(connection)
            self._well("no org is set (FAKTURO_SALESFORCE_LOGIN_URL): what it would hold is kept, and not sent")
            await asyncio.sleep(self._rests.gauges)

    async def _with_org(self, connection: asyncpg.Connection, salesforce: SalesforceSettings) -> NoReturn:
        org = self._make_org(salesforce)
        try:
            await org.open()
            pushing = PushRound(connection, org, lambda: self._pace(org, salesforce), self._sizes)
            while True:
                await self._show(connection)
                sent = await self._round(pushing, org, salesforce)
                if not sent:
                    await asyncio.sleep(self._rests.idle)
        finally:
            await org.close()

    async def _round(self, pushing: PushRound, org: OpenableOrg, salesforce: SalesforceSettings) -> int:
        """Run a round; where calls are used up wait until the org has some again."""
        try:
            sent = await pushing.run()
        except AllocationUsedUp as fault:
            self._in_trouble(f"{fault}; {salesforce.api_reserve_percent} % are left to others")
            await asyncio.sleep(self._rests.ask)
            with suppress(AllocationUsedUp):
                await org.limits()  # its answer says how many calls there are now
            return 1
        self._well("the org holds what it is to hold" if not sent else f"sent {sent} rows")
        return sent

    async def _pace(self, org: OpenableOrg, salesforce: SalesforceSettings) -> None:
        """Keep the calls within what is ours of the day's.

        Raises:
            AllocationUsedUp: nothing of it is left.
        """
        usage = org.api_usage
        if usage is not None:
            BRIDGE_ALLOCATION_USED.labels(API_CALLS).set(usage.used_percent / 100)
        pause = pause_seconds(usage, salesforce.api_reserve_percent)
        if pause is None and usage is not None:
            raise AllocationUsedUp(f"{usage.used:,} of {usage.allowed:,} API calls of the day are used")
        if pause:
            self._says = f"slowed down: the day's API calls run low, a pause of {pause:.0f} s after each"
            await asyncio.sleep(pause)

    async def _show(self, connection: asyncpg.Connection) -> None:
        """Set the gauges, once in a while."""
        now = time.monotonic()
        if self._shown_at is not None and now - self._shown_at < self._rests.gauges:
            return
        self._shown_at = now
        found = {stand.entity: stand for stand in await push_store.stand(connection)}
        for written in WRITTEN_OBJECTS:
            stand = found.get(written.name, push_store.Stand(entity=written.name))
            for state in ROW_STATES:
                CRM_RECORDS.labels(written.name, state).set(getattr(stand, state))
            CRM_OLDEST_AGE.labels(written.name).set(stand.oldest_seconds)

    def _well(self, says: str) -> None:
        if self._trouble_since is not None:
            log.info("works again", says=says)
        self._trouble_since, self._says = None, says

    def _in_trouble(self, says: str) -> None:
        if self._trouble_since is None or says != self._says:
            log.warning("waiting", waits_for="the org", because=says)
        self._says = says
        if self._trouble_since is None:
            self._trouble_since = time.monotonic()


ROW_STATES = ("waiting", "refused", "account_unknown", "foreign_account")
OUTCOMES = ("written", "again", "parent_gone", "refused")


def initialise_metrics() -> None:
    """Set every gauge to 0, and create every label set that can occur."""
    for written in WRITTEN_OBJECTS:
        for state in ROW_STATES:
            CRM_RECORDS.labels(written.name, state).set(0)
        for outcome in OUTCOMES:
            CRM_WRITES.labels(written.name, outcome)
        CRM_OLDEST_AGE.labels(written.name).set(0)


def make_pusher(settings: Settings) -> Pusher:
    """Return the pusher of the org that the environment names.

    Raises:
        SettingsFault: an org is named and something about it is missing or wrong.
    """
    return Pusher(settings, load_salesforce_settings_if_set())
