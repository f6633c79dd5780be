"""`fakturo salesforce setup`: writes the metadata package into a folder.

Place     cli/salesforce/commands.py -> [this] -> package.py. The folder must be new, or one that this command wrote.
"""

import os
from pathlib import Path

from fakturo.cli.output import console
from fakturo.cli.salesforce.package import PERMISSION_SET, package_files
from fakturo.cli.salesforce.settings import mapping_profile
from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.runtime.errors import SettingsFault
from fakturo.consumers.runtime.salesforce.settings import SalesforceSettings

MARK = "sfdx-project.json"


def run_setup(folder: Path) -> int:
    """Write the package; return 0.

    Raises:
        SettingsFault: the folder holds something else.
    """
    profile = mapping_profile()
    count = write_package(folder, profile)
    console.print(
        f"{folder}: {count} files, for the profile {profile.name}. Deploy them:\n"
        f"  cd {folder} && sf project deploy start && sf org assign permset --name {PERMISSION_SET}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0


def write_package(folder: Path, profile: Profile) -> int:
    """Write the package for `profile`; return the number of files.

    Raises:
        SettingsFault: the folder holds something else.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not (folder / MARK).is_file():
        raise SettingsFault(f"{folder} is not empty and holds no sfdx project; name another folder")
    files = package_files(
        {entity: profile.fields_of(entity) for entity in profile.entities()},
        {role: section.entity for role, section in profile.sections.items()},
        channel=_default("channel").removeprefix("/data/"),
        api_version=_default("api_version"),
    )
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return len(files)


def _default(name: str) -> str:
    """Return a setting of the org from the environment, or its default: no credentials are needed to write files."""
    default = SalesforceSettings.model_fields[name].default
    return os.environ.get(f"FAKTURO_SALESFORCE_{name.upper()}") or str(default)
