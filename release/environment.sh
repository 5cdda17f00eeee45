#!/usr/bin/env bash
# Make an environment of what a lock names: environment.sh PYTHON FOLDER LOCK
#
# Nothing is installed that the lock does not name with its hash. What an earlier run made of the same lock is kept.
set -euo pipefail

python=$1 folder=$2 lock=$3
built_from=$(cat "$0" "$lock" | cksum)
if [[ "$(cat "$folder/installed-from" 2>/dev/null)" == "$built_from" ]]; then
    exit 0
fi
rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock"
echo "$built_from" >"$folder/installed-from"
