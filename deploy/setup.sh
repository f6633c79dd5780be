#!/usr/bin/env bash
# Makes the virtual environment: `bash deploy/setup.sh PYTHON VENV`, called by `make setup`.
# Debian ships Python without venv; as root it is installed, for others the command is printed.
set -euo pipefail
python=$1
venv=$2

if [ -z "$python" ]; then
  echo "Fakturo needs Python 3.11 or newer (on Debian 12: apt-get install python3 python3-venv)." >&2
  exit 2
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing python$version-venv."
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "python$version-venv" >/dev/null
  else
    echo "Python's venv module is missing. Run this, then make again:" >&2
    echo "  sudo apt-get install python$version-venv" >&2
    exit 2
  fi
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "Installing Fakturo and what it needs into $venv (a minute or two, once)."
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --use-pep517 --editable '.[dev]'
