# The model server with vLLM as its engine, for endpoints with a GPU: serving.engine vllm.
#
#   docker build --file containers/serving/vllm.Dockerfile --tag PREFIX/serving-vllm:TAG .
#
# vLLM pins torch, transformers and FastAPI itself, so its image is the base and only what it lacks
# is added. Give the base by digest: --build-arg BASE_IMAGE=docker.io/vllm/vllm-openai@sha256:...
ARG BASE_IMAGE=docker.io/vllm/vllm-openai:v0.32.0
FROM ${BASE_IMAGE}
COPY containers/serving/requirements.txt /build/requirements.txt
RUN grep -oE '^(gcsfs|pydantic-settings)==[^ ]+' /build/requirements.txt > /build/missing.txt && \
    python3 -m pip install --no-cache-dir --requirement /build/missing.txt
COPY doctune/ /opt/doctune/doctune/
ENV PYTHONPATH=/opt/doctune \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DOCTUNE_LOG_FORMAT=json \
    DOCTUNE_CACHE=/tmp/.cache/doctune \
    HOME=/tmp \
    USER=doctune
WORKDIR /tmp
USER 10001:10001
EXPOSE 8080
# The arguments of a registered version follow; the last value of a flag holds.
ENTRYPOINT ["python3", "-m", "doctune.serving", "--host", "0.0.0.0", "--engine", "vllm"]

ARG COMMIT=unknown
LABEL org.opencontainers.image.title="doctune serving with vLLM" \
      org.opencontainers.image.description="Answers over HTTP as Vertex AI asks, by vLLM" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}"
