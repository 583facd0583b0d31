#!/bin/sh
# Writes what is in an image to a folder: sbom.cdx.json (CycloneDX) and licences.json of the Python
# packages, debian.tsv (package, version, source, licence file) of the rest.
#   inventory.sh FOLDER
set -eu
folder=$1

mkdir -p "$folder"
/opt/tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
    --output-file "$folder/sbom.cdx.json" /opt/venv/bin/python
/opt/tools/bin/pip-licenses --python /opt/venv/bin/python --from mixed --with-urls --format json \
    --output-file "$folder/licences.json" > /dev/null
