"""The `fakturo` command: assembles the subjects; starts an agent without loading what only people need.

Place     `fakturo <subject> ...`; each subject is a file beside this one, imported when it is asked for.
Exit      0 done; 1 the command found something wrong (a difference, a failed line); 2 a missing or wrong setting.
"""

import gc
import sys
from typing import NoReturn

from fakturo.consumers.runtime.errors import SettingsFault


def main() -> NoReturn:
    """Run the command line and exit."""
    arguments = sys.argv[1:]
    try:
        if len(arguments) == 2 and arguments[0] == "agent" and not arguments[1].startswith("-"):
            gc.disable()  # until all is imported: nothing of it is garbage, and looking takes a sixth of the start
            from fakturo.cli.agents import run_agent  # an agent starts in half the time without typer and rich

            sys.exit(run_agent(arguments[1]))
        if arguments[:1] == ["rate"]:
            from fakturo.cli.rate import run_rate  # and a price is rated in less time than they take to load

            sys.exit(run_rate(arguments[1:]))
        from fakturo.cli.commands import app

        app()
    except SettingsFault as fault:
        sys.stderr.write(f"fakturo: {fault}\n")
        sys.exit(2)
    sys.exit(0)


if __name__ == "__main__":
    main()
