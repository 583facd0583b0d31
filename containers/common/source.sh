#!/bin/sh
# Installs doctune, its components and its pipelines to a folder, beside the packages.
#   source.sh SOURCE TARGET [IMPORT...]
# With IMPORTs, bytecode is kept of what they load and of nothing else, as venv.sh does.
set -eu
source=$1 target=$2
shift 2

pip=/opt/tools/bin/pip
built=$(mktemp -d)
"$pip" wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir "$built" "$source"
"$pip" --python /opt/venv/bin/python install --quiet --no-deps --no-index ${1:+--no-compile} \
    --target "$target" "$built"/*.whl
rm -r "$built"

# What looks at the packages sees doctune too.
packages=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$target" > "$packages/doctune.pth"

for module in "$@"; do
    /opt/venv/bin/python -c "import $module"
done
