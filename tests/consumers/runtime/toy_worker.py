"""A process of the toy agent: `python toy_worker.py faust|bulk`, settings from the environment."""

import sys

from toy_agent import Toy

from fakturo.consumers.runtime.app import create_app, run_app
from fakturo.consumers.runtime.settings import load_settings

if __name__ == "__main__":
    sys.exit(run_app(create_app(Toy(), load_settings(), "bulk" if sys.argv[1] == "bulk" else "faust")))
