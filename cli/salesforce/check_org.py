"""`fakturo salesforce check`: asks the org for all that check.py compares, and prints what has to be mended.

Place     cli/salesforce/commands.py -> [this] -> Org, check.py. Exit 1 where something is an error.
"""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from fakturo.cli.output import console, print_json
from fakturo.cli.salesforce.check import (
    Describes,
    Finding,
    NeededValue,
    check_channel,
    check_read,
    check_written,
)
from fakturo.cli.salesforce.settings import mapping_profile
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.errors import OrgFault, OrgRefused
from fakturo.consumers.runtime.salesforce.org import Org
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings, load_salesforce_settings
from fakturo.schemas.salesforce.written_fields import WRITTEN_OBJECTS

PATH, FORMULA = "->", "="
_MEMBERS = "SELECT SelectedEntity, EventChannel FROM PlatformEventChannelMember"
_CHANNELS = "SELECT Id, DeveloperName FROM PlatformEventChannel"


def run_check(*, as_json: bool) -> int:
    """Print what the org lacks; return 1 where it is an error, else 0.

    Raises:
        SettingsFault: the org's settings are missing, or there is no way to it.
    """
    settings, profile = load_salesforce_settings(), mapping_profile()
    try:
        findings = asyncio.run(_check(settings, profile))
    except OrgFault as fault:
        place = "" if str(fault).startswith(settings.login_url) else f"{settings.login_url}: "
        raise SettingsFault(f"{place}{fault}") from fault
    if as_json:
        print_json({"profile": profile.name, "findings": [_row(finding) for finding in findings]})
    else:
        for finding in sorted(findings, key=lambda found: not found.is_error):
            mark = "wrong" if finding.is_error else "note "
            console.print(f"{mark}  {finding.sentence}", markup=False, highlight=False, soft_wrap=True)
        console.print(_summary(findings, profile), markup=False, highlight=False)
    return 1 if any(finding.is_error for finding in findings) else 0


async def _check(settings: SalesforceSettings, profile: Profile) -> list[Finding]:
    org = Org(settings)
    try:
        await org.open()
        entities = profile.entities()
        describes = await _describes(org, {*entities, *(written.name for written in WRITTEN_OBJECTS)})
        seen = [entity for entity in entities if describes[entity] is not None]
        selected = await _selected(org, settings.channel.removeprefix("/data/"))
        return [
            *check_read(needed_values(profile), describes),
            *check_channel(seen, selected, settings.channel),
            *check_written(describes),
        ]
    finally:
        await org.close()


def needed_values(profile: Profile) -> list[NeededValue]:
    """Return every value that the profile reads, each with its alternatives.

    What is read of other records by way of a reference, or by a formula, is needed field by field.
    """
    values: dict[tuple[str, str], list[str]] = {}
    own: dict[str, set[str]] = {}
    for role, section in profile.sections.items():
        for slot, name in section.slots():
            if PATH not in name and not name.startswith(FORMULA):
                values.setdefault((role, slot), []).append(name)
                own.setdefault(section.entity, set()).add(name)
    needed = [
        NeededValue(entity=profile.sections[role].entity, fields=tuple(names)) for (role, _), names in values.items()
    ]
    for entity in profile.entities():
        others = sorted(profile.fields_of(entity) - own.get(entity, set()))
        needed += [NeededValue(entity=entity, fields=(name,)) for name in others]
    return needed


async def _describes(org: Org, entities: Iterable[str]) -> Describes:
    found: dict[str, dict[str, Any] | None] = {}
    for entity in sorted(entities):
        try:
            found[entity] = await org.describe(entity)
        except OrgRefused as refused:
            if not refused.is_missing:
                raise
            found[entity] = None
    return found


async def _selected(org: Org, channel: str) -> frozenset[str]:
    """Return the change events that the channel tells of."""
    names = {str(row["Id"])[:15]: str(row["DeveloperName"]) for row in await _tooling(org, _CHANNELS)}
    own = {channel, channel.removesuffix("__chn")}
    return frozenset(
        str(row["SelectedEntity"])
        for row in await _tooling(org, _MEMBERS)
        # The standard channel is told by its name, a custom one by its id.
        if names.get(str(row["EventChannel"])[:15], str(row["EventChannel"])) in own
    )


async def _tooling(org: Org, soql: str) -> list[dict[str, Any]]:
    path = f"tooling/query/?q={quote(soql)}"
    answer = await org.call(lambda client: client.restful(path))
    return list(dict(answer or {}).get("records", ()))


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "entity": finding.entity,
        "field": finding.field,
        "what": finding.what,
        "mend": finding.mend,
        "is_error": finding.is_error,
    }


def _summary(findings: list[Finding], profile: Profile) -> str:
    wrong = sum(finding.is_error for finding in findings)
    if not findings:
        return f"The org has all that the profile {profile.name} reads and that is written back."
    return f"{wrong} to mend, {len(findings) - wrong} to note (profile {profile.name})."
