#!/usr/bin/env bash
# An environment with what `make bench-peers` compares with. What can't be had is said, and left out.
#   tools/install_peers.sh PYTHON FOLDER
set -euo pipefail
python=$1 folder=$2
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
grep -v '^#' tools/requirements-bench-peers.txt | while read -r package; do
  echo "$package"
  timeout 900 "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$package" < /dev/null ||
    echo "$package could not be installed; the comparison will say so" >&2
done
# llama.cpp's converter comes only in the source package of its bindings.
if "$folder/bin/python" -c "import llama_cpp" 2> /dev/null && [ ! -e "$folder/llama.cpp/convert_hf_to_gguf.py" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  package=$(grep '^llama-cpp-python' tools/requirements-bench-peers.txt)
  "$folder/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$work" "$package" < /dev/null &&
    tar -xzf "$work"/*.tar.gz -C "$work" && mkdir -p "$folder/llama.cpp" &&
    cp -r "$work"/llama_cpp_python-*/vendor/llama.cpp/{convert_hf_to_gguf.py,gguf-py} "$folder/llama.cpp/" &&
    { cp -r "$work"/llama_cpp_python-*/vendor/llama.cpp/conversion "$folder/llama.cpp/" 2> /dev/null || true; } ||
    echo "llama.cpp's converter could not be had; the comparison will say so" >&2
fi
touch "$folder/.installed"
