#!/bin/sh
# Makes /opt/tools: pip, setuptools and what writes the inventory, none of which gets into an image.
#   tools.sh
set -eu
here=$(dirname "$0")

python -m venv /opt/tools
/opt/tools/bin/pip install --quiet --no-deps --require-hashes --requirement "$here/tools.txt"
