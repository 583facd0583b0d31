#!/bin/sh
# Gives images that are in the registry further tags. Tags never move: one that another image has is
# an error, one that the image has already is left alone.
#
#   IMAGES=REGISTRY/PROJECT/REPOSITORY TAG=SHA TAGS="prod v1" cloudbuild/tag_images.sh NAME...
set -eu

digest() {
    gcloud artifacts docker images describe "$1" --format 'value(image_summary.digest)'
}

for name; do
    meant=$(digest "$IMAGES/$name:$TAG")
    for tag in $TAGS; do
        if found=$(digest "$IMAGES/$name:$tag" 2> /dev/null); then
            test "$found" = "$meant" || {
                echo "$IMAGES/$name:$tag is another image than $name:$TAG: choose a new tag." >&2
                exit 1
            }
        else
            gcloud artifacts docker tags add "$IMAGES/$name:$TAG" "$IMAGES/$name:$tag"
        fi
    done
done
