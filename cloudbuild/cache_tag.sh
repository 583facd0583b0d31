#!/bin/sh
# Prints the tag under which an image's packages are kept: it changes with what they are made from.
#
#   VARIANT=cpu cloudbuild/cache_tag.sh NAME
set -eu

made_from=$(cat containers/common/* "containers/$1"/* | sha256sum | cut -c 1-16)
echo "cache${VARIANT:+-$VARIANT}-$made_from"
