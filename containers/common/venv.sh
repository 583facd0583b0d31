#!/bin/sh
# Makes /opt/venv with the packages of one image: every file is checked against its hash, and what
# no step uses is left out.
#   venv.sh FOLDER [IMPORT...]
# FOLDER holds requirements.txt and unused.txt. Bytecode is kept of what the IMPORTs load and of
# nothing else: it saves seconds at a step's start, and that of the rest is a third of the size.
# Where strip is installed, the libraries lose their symbols.
# Where FOLDER has requirements-$VARIANT.txt, torch comes from there; the build for CPU lies in
# /wheels, or on the index that TORCH_INDEX_URL names.
set -eu
folder=$1
shift

pip=/opt/tools/bin/pip
built=$(mktemp -d)
"$pip" wheel --quiet --no-deps --no-build-isolation --require-hashes \
    --wheel-dir "$built" --requirement "$folder/requirements.txt"

case ${VARIANT:-none} in
none) ;;
gpu)
    "$pip" wheel --quiet --no-deps --require-hashes \
        --wheel-dir "$built" --requirement "$folder/requirements-gpu.txt"
    ;;
cpu)
    "$pip" wheel --quiet --no-deps ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} \
        --find-links /wheels --wheel-dir "$built" --requirement "$folder/requirements-cpu.txt"
    if python -m zipfile --list "$built"/torch-*.whl | grep --quiet libtorch_cuda; then
        echo "The torch that was found is the build for CUDA: give the folder of the build for CPU" \
            "as build context 'wheels', or its index as build argument TORCH_INDEX_URL." >&2
        exit 1
    fi
    ;;
*)
    echo "VARIANT is '$VARIANT': it must be cpu or gpu." >&2
    exit 1
    ;;
esac

python -m venv --without-pip /opt/venv
"$pip" --python /opt/venv/bin/python install --quiet --no-deps --no-index --no-compile "$built"/*.whl
rm -r "$built"

packages=$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$packages"
while read -r pattern; do
    case $pattern in '' | '#'*) continue ;; esac
    find . -path "./$pattern" -prune -exec rm -r {} +
done < "$folder/unused.txt"
# Libraries under *.libs were patched when their wheels were made, and do not bear stripping.
if command -v strip > /dev/null; then
    find . -path './*.libs' -prune -o -name '*.so*' -type f -exec strip --strip-unneeded {} +
fi

for module in "$@"; do
    _KFP_RUNTIME=true /opt/venv/bin/python -c "import $module"
done
