#!/bin/sh
# Fails where an image of the registry lacks a tag.
#
#   IMAGES=REGISTRY/PROJECT/REPOSITORY cloudbuild/require_tag.sh TAG NAME...
set -eu

tag=$1
shift
for name; do
    gcloud artifacts docker images describe "$IMAGES/$name:$tag" --format none || {
        echo "$IMAGES/$name has no tag $tag." >&2
        exit 1
    }
done
