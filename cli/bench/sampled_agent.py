"""An agent as it is deployed, with `Sampler` looking at where its CPU goes; for `fakturo bench usage`.

Place     usage_workers starts `python -m fakturo.cli.bench.sampled_agent usage` in place of `fakturo agent usage`.
"""

import os
import sys
from pathlib import Path

from fakturo.cli.agents import run_agent
from fakturo.cli.bench.sampling import PATH_VARIABLE, Sampler

if __name__ == "__main__":
    Sampler(Path(os.environ[PATH_VARIABLE])).start()
    sys.exit(run_agent(sys.argv[1]))
