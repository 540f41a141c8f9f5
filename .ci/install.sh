#!/usr/bin/env bash
# Install the program for production: .ci/install.sh PYTHON FOLDER. The image's build stage calls it, and so may whoever
# installs without an image: FOLDER gets an environment with what requirements.lock names and a wheel of this checkout,
# and nothing else: no pip, no tool, no embedded server, no test. It does not work in another place than it was made for.
set -euo pipefail
python=$1 folder=$2
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
# What builds the wheel stays out of what runs.
"$python" -m venv "$scratch/build"
"$scratch/build/bin/pip" install --quiet --require-hashes --only-binary :all: -r requirements-build.lock
"$scratch/build/bin/pip" wheel --quiet --no-deps --no-build-isolation --wheel-dir "$scratch/wheel" .

"$python" -m venv --without-pip "$folder"
into=("$scratch/build/bin/pip" --python "$folder/bin/python" install --quiet --no-compile)
"${into[@]}" --require-hashes --only-binary :all: -r requirements.lock
"${into[@]}" --no-deps --no-index "$scratch"/wheel/kaoping-*.whl
# Compiled now: a read-only file system takes no caches later.
"$folder/bin/python" -m compileall -q -j 0 "$folder/lib"
"$folder/bin/kaoping" --version
