"""The watchman: a process of its own that brings crashed agents back after `fakturo up` has returned.

Place     started by `Stack.up(restart=True)` as `python -m fakturo.cli.stack.watch HOME`; ends on SIGTERM.
"""

import signal
import sys
import threading
from pathlib import Path

from fakturo.cli.stack.processes import Processes

PAUSE_SECONDS = 0.25


def main() -> int:
    """Tend the processes of the home given as the only argument until told to end."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    processes = Processes(Path(sys.argv[1]))
    while not ended.wait(PAUSE_SECONDS):
        for name in processes.tend():
            sys.stdout.write(f"started {name} again\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
