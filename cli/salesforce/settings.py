"""What the commands of this folder need to know: the mapping profile that is in force.

Place     commands.py, check_org, setup -> [this].
"""

import os

from fakturo.consumers.contracts.profile import Profile
from fakturo.consumers.contracts.profile_files import load_profile

PROFILE_VARIABLE = "FAKTURO_PROFILE"


def mapping_profile() -> Profile:
    """Return the profile that FAKTURO_PROFILE names (default: core), as the contracts agent reads it.

    Raises:
        SettingsFault: there is none of that name, or its file is faulty.
    """
    return load_profile(os.environ.get(PROFILE_VARIABLE) or "core")
