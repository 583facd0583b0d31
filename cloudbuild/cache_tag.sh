#!/bin/sh
# Prints the tag under which an image's packages are kept: it changes with what they are made from.
#
#   VARIANT=cpu cloudbuild/cache_tag.sh NAME
set -eu

made_from=$(
    find containers/common "containers/$1" -type f ! -path '*__pycache__*' | LC_ALL=C sort |
        xargs cat | sha256sum | cut -c 1-16
)
echo "cache${VARIANT:+-$VARIANT}-$made_from"
