#!/usr/bin/env bash
# Build a real llama-server for the tests: build_llama_server.sh PYTHON FOLDER
#
# llama.cpp has no release on the package index; the source of llama-cpp-python carries it whole. It is fetched by hash,
# and only llama.cpp's own server is compiled, without web page and TLS. Takes about eight minutes of one core, a C++
# compiler, and 300 MB, which are given back at the end. A server that this very script built is kept.
set -euo pipefail

python=$1
folder=$2
built_by=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$0")
if [[ -x "$folder/llama-server" && "$(cat "$folder/llama-server.built-by" 2>/dev/null)" == "$built_by" ]]; then
    exit 0
fi
source_of_llama_cpp="llama-cpp-python==0.3.36 \
--hash=sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"

mkdir -p "$folder"
work=$(mktemp -d "$folder/build.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "$source_of_llama_cpp" >"$work/source.txt"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary llama-cpp-python \
    --require-hashes --requirement "$work/source.txt" --dest "$work"
tar -xzf "$work"/llama_cpp_python-*.tar.gz -C "$work"

"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --disable-pip-version-check "cmake>=4,<5" "ninja>=1.13,<2"
PATH="$work/tools/bin:$PATH"
# GGML_NATIVE=OFF: a build for the build machine's own processor uses AMX where the processor names it, and some virtual
# machines end a process for that (SIGILL, with quantized weights only).
cmake -S "$work"/llama_cpp_python-*/vendor/llama.cpp -B "$work/out" -G Ninja \
    -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
    -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DGGML_NATIVE=OFF \
    -DGGML_OPENMP=OFF -DGGML_CCACHE=OFF -DGGML_METAL=OFF >"$work/configure.log" || { cat "$work/configure.log"; exit 1; }
cmake --build "$work/out" --target llama-server >"$work/build.log" || { tail -50 "$work/build.log"; exit 1; }
mv "$work/out/bin/llama-server" "$folder/llama-server"
echo "$built_by" >"$folder/llama-server.built-by"
