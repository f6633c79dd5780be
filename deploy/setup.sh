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
    echo "Python's venv module is missing: installing python$version-venv with apt-get."
    log=$(mktemp)
    if ! { apt-get update && apt-get install -y --no-install-recommends "python$version-venv"; } \
      >"$log" 2>&1 </dev/null; then
      tail -n 5 "$log" >&2
      rm -f "$log"
      echo "Install python$version-venv yourself, then make again." >&2
      exit 2
    fi
    rm -f "$log"
  else
    echo "Python's venv module is missing. Run this, then make again:" >&2
    echo "  sudo apt-get install python$version-venv" >&2
    exit 2
  fi
fi

# One line that pip's output moves: packages fetched, then packages installed. Elsewhere than on a terminal, nothing.
show() {
  [ -t 1 ] || return 0
  local fetched installed wanted
  fetched=$(grep -c '^Collecting ' "$log" || true)
  wanted=$(sed -n 's/^Installing collected packages: //p' "$log" | tr ',' '\n' | wc -l)
  if [ "$wanted" -gt 0 ]; then
    installed=$(find "$venv"/lib/python3*/site-packages -maxdepth 1 -name '*.dist-info' | wc -l)
    [ "$installed" -le "$wanted" ] || installed=$wanted
    local filled=$((30 * installed / wanted))
    local bar
    bar=$(printf '%*s' "$filled" '' | tr ' ' '#')$(printf '%*s' $((30 - filled)) '' | tr ' ' '.')
    printf '\r\033[K  [%s] installed %d of %d, %d s' "$bar" "$installed" "$wanted" "$SECONDS"
  else
    printf '\r\033[K  fetched %d packages, %d s' "$fetched" "$SECONDS"
  fi
}

[ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null || "$python" -m venv --clear "$venv"
echo "Installing Fakturo and what it needs into $venv (a minute or two, once)."
log=$venv/install.log
"$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off --no-color --use-pep517 \
  --editable '.[dev]' >"$log" 2>&1 &
pip=$!
trap 'kill "$pip" 2>/dev/null || true; exit 130' INT TERM
while kill -0 "$pip" 2>/dev/null; do
  show
  sleep 0.3
done
[ -t 1 ] && printf '\r\033[K'
if ! wait "$pip"; then
  grep -v '^\(Collecting\|  Downloading\|  Using cached\|Requirement already\)' "$log" | tail -n 15 >&2
  echo "pip could not install Fakturo; all it said is in $log. Mend that, then make again." >&2
  exit 1
fi
echo "Installed in $SECONDS s."
