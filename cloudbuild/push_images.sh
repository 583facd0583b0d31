#!/bin/sh
# Pushes what build_image.sh has built: each image by its commit, and its packages as cache. A tag
# that is in the registry stays what it is.
#
#   IMAGES=REGISTRY/PROJECT/REPOSITORY TAG=SHA cloudbuild/push_images.sh NAME...
#
# VARIANT is that of training and serving.
set -eu

variant=${VARIANT:-}
for name; do
    case $name in
    training | serving) VARIANT=$variant ;;
    *) VARIANT= ;;
    esac
    export VARIANT
    for reference in "$IMAGES/$name:$TAG" "$IMAGES/$name:$(sh cloudbuild/cache_tag.sh "$name")"; do
        docker pull --quiet "$reference" > /dev/null 2>&1 || docker push "$reference"
    done
done
