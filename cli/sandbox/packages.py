"""Deploys metadata packages: custom objects, custom fields, objects selected for change data capture.

Place     `fakturo sandbox --metadata DIR`, `POST /sandbox/deploy` -> [this] -> package_files.py, SandboxOrg
Rules     All or nothing: everything is read and checked before the org changes. What a sandbox has no use for
          (permission sets, layouts, ...) is left alone and named in the result. Deploying the same package again
          changes nothing.
Source    Metadata API Developer Guide: CustomObject, CustomField, PlatformEventChannelMember.
"""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path

from fakturo.cli.sandbox.metadata import Field, SObject
from fakturo.cli.sandbox.org import SandboxOrg
from fakturo.cli.sandbox.package_files import ALL_CHANGES, PackageFault, Parts, read_file

_LARGEST_FILE = 4 * 1024 * 1024


@dataclass(slots=True)
class Deployed:
    """What a deployment did: full names of what is new and what was there, and the files it had no use for."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


def deploy_folder(org: SandboxOrg, folder: Path) -> Deployed:
    """Deploy an sfdx project or a folder of metadata.

    Raises:
        PackageFault: what is wrong, and in which file.
    """
    if not folder.is_dir():
        raise PackageFault(str(folder), "no such folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _deploy(org, ((str(path.relative_to(folder)), path.read_bytes()) for path in files))


def deploy_zip(org: SandboxOrg, content: bytes) -> Deployed:
    """Deploy a zip of either form.

    Raises:
        PackageFault: what is wrong, and in which file.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as packed:
            infos = [one for one in packed.infolist() if not one.is_dir()]
            for one in infos:
                if one.file_size > _LARGEST_FILE:
                    raise PackageFault(one.filename, f"larger than {_LARGEST_FILE} bytes")
            return _deploy(org, [(one.filename, packed.read(one)) for one in infos])
    except zipfile.BadZipFile:
        raise PackageFault("the body", "this is no zip file") from None


def _deploy(org: SandboxOrg, files: Iterable[tuple[str, bytes]]) -> Deployed:
    done = Deployed()
    whole = Parts()
    for path, content in files:
        parts = read_file(path, content)
        if parts is None:
            done.ignored.append(path)
        else:
            whole.add(parts)
    _check(org, whole)
    for entity in whole.objects:
        _put_object(org, entity, done)
    for entity_name, one in whole.fields:
        _put_field(org, entity_name, one, done)
    for entity_name, channel in whole.captured:
        if channel == ALL_CHANGES:
            org.select_for_capture(entity_name)
        else:
            org.channels.setdefault(channel, set()).add(entity_name)
    return done


def _check(org: SandboxOrg, parts: Parts) -> None:
    known = org.objects.keys() | {entity.name for entity in parts.objects}
    for entity_name, one in parts.fields:
        full_name = f"{entity_name}.{one.name}"
        if entity_name not in known:
            raise PackageFault(full_name, f"there is no object {entity_name} in the org, nor in the package")
        missing = [target for target in one.reference_to if target not in known]
        if missing:
            raise PackageFault(full_name, f"referenceTo: there is no object {missing[0]}")
        there = org.objects[entity_name].fields.get(one.name) if entity_name in org.objects else None
        if there is not None and there.type != one.type:
            raise PackageFault(full_name, f"the org has it as {there.type}; its type can't become {one.type}")
    for entity_name, _ in parts.captured:
        if entity_name not in known:
            raise PackageFault(entity_name, "selectedEntity: there is no such object")


def _put_object(org: SandboxOrg, entity: SObject, done: Deployed) -> None:
    if entity.name in org.objects:
        there = org.objects[entity.name]
        there.label, there.label_plural = entity.label, entity.label_plural
        done.changed.append(entity.name)
        return
    entity.key_prefix = org.next_key_prefix("e" if entity.name.endswith("__e") else "a")
    org.add_object(entity)
    done.created.append(entity.name)


def _put_field(org: SandboxOrg, entity_name: str, one: Field, done: Deployed) -> None:
    there = org.objects[entity_name].fields.get(one.name)
    full_name = f"{entity_name}.{one.name}"
    if there is None:
        org.add_field(entity_name, one)
        done.created.append(full_name)
    elif replace(one, custom_id=there.custom_id) != there:
        org.add_field(entity_name, replace(one, custom_id=there.custom_id))
        done.changed.append(full_name)
