#!/bin/sh
# Builds images from containers/, with the layers of the last build as cache.
#
#   IMAGES=REGISTRY/PROJECT/REPOSITORY TAG=SHA cloudbuild/build_image.sh NAME...
#
# VARIANT (cpu or gpu) and TORCH_INDEX_URL are build arguments of training and serving. The packages
# are a stage of their own: it is kept in the registry under a tag that says what it is made from,
# and the rest is built anew in seconds.
set -eu

for name; do
    image=$IMAGES/$name
    cache=$(sh cloudbuild/cache_tag.sh "$name")
    set -- --file "containers/$name/Dockerfile" --cache-from "$image:$cache" \
        --build-arg BUILDKIT_INLINE_CACHE=1 --build-arg COMMIT="$TAG"
    case $name in
    training | serving)
        set -- "$@" --build-arg VARIANT="$VARIANT" --build-arg TORCH_INDEX_URL="$TORCH_INDEX_URL"
        ;;
    esac
    docker build "$@" --target dependencies --tag "$image:$cache" .
    docker build "$@" --tag "$image:$TAG" .
done
