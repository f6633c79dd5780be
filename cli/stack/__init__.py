"""The parts Fakturo runs on, on one machine: broker, database and agents as background processes.

Place     `fakturo up|down|status|demo` and the tests call `Stack`; `make kafka` and the storm call `ApacheKafka`.
Files     <home>/run/*.json who runs (pid, start time, port), <home>/logs/*.log, <home>/broker, <home>/postgres.
Modules   background (start, find and stop one process), processes (a set of them, tended), ports,
          broker and postgres (the embedded parts), kafka (the real broker), stack (all of it together).
"""

from fakturo.cli.stack.background import StackFault
from fakturo.cli.stack.stack import AGENTS, PartStatus, Stack

__all__ = ["AGENTS", "PartStatus", "Stack", "StackFault"]
