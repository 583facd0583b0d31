#!/bin/sh
# Has Artifact Analysis scan pushed images, and writes what it found to scans/NAME.json.
#
#   IMAGES=REGISTRY/PROJECT/REPOSITORY TAG=SHA SCAN_LOCATION=us cloudbuild/scan_images.sh NAME...
set -eu

mkdir -p scans
for name; do
    scan=$(gcloud artifacts docker images scan "$IMAGES/$name:$TAG" --remote \
        --location "$SCAN_LOCATION" --format 'value(response.scan)')
    gcloud artifacts docker images list-vulnerabilities "$scan" --format json > "scans/$name.json"
done
