# Exports in 8 bits for vLLM: `doctune export --format w8a8` or `fp8`.
#
#   docker build --file containers/training/compression.Dockerfile --tag PREFIX/compression:TAG .
#
# llm-compressor pins an older transformers than doctune's other images, so it has one of its own; torch
# is the one that it brings. Give the base by digest: --build-arg BASE_IMAGE=...
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}
COPY containers/training/requirements.txt /build/requirements.txt
# What doctune's export imports beside it, in the versions of the training image.
RUN grep -oE '^(datasets|fsspec|jinja2|numpy|peft|psutil|pyarrow|pydantic|pydantic-settings|pyyaml|rich|safetensors|sentencepiece|typer)==[^ ]+' \
        /build/requirements.txt > /build/missing.txt && \
    python3 -m pip install --no-cache-dir --requirement /build/missing.txt llmcompressor==0.14.0.1
COPY doctune/ /opt/doctune/doctune/
ENV PYTHONPATH=/opt/doctune \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DOCTUNE_CACHE=/tmp/.cache/doctune \
    HOME=/tmp \
    USER=doctune
WORKDIR /tmp
USER 10001:10001
ENTRYPOINT ["python3", "-m", "doctune", "export"]

ARG COMMIT=unknown
LABEL org.opencontainers.image.title="doctune compression" \
      org.opencontainers.image.description="Models in 8 bits for vLLM, by llm-compressor" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}"
