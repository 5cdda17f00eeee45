#!/usr/bin/env bash
# Build the site of docs/: docs.sh PYTHON FOLDER
#
# What builds it is locked in docs.lock, with hashes, and kept in FOLDER between runs. Lock anew, after a change of docs.in:
#   uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
#       --custom-compile-command "see release/docs.sh" release/docs.in -o release/docs.lock
set -euo pipefail

python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2"
folder=$(cd "$2" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
"$here/environment.sh" "$python" "$folder" "$here/docs.lock"

cd "$here/.."
# In a copy: zensical keeps a cache of its own in .cache beside its settings, where ours is.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r docs zensical.toml "$copy/"
(cd "$copy" && "$folder/bin/python" -m zensical build --strict)
rm -rf site
mv "$copy/site" site
"$python" -m release.llms site
if grep -rEl --include='*.html' '(src|href)="https?://[^"]*\.(js|css|woff2?|png|svg)"|src="https?://' site; then
    echo "these pages load something from another host" >&2
    exit 1
fi
