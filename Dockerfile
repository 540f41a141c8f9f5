# syntax=docker/dockerfile:1
# One image for the API, the worker and the migration (接口、后台任务、数据库升级共用一个镜像):
#
#     docker build -t kaoping .
#     docker run --read-only --tmpfs /tmp --env-file kaoping.env kaoping serve     # or worker, migrate, doctor …
#
# Both stages start from the same pinned base, so that the environment made in the first works in the second. To pin it
# by digest as well: --build-arg PYTHON_IMAGE=python:3.13.9-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.13.9-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE requirements.lock requirements-build.lock ./
COPY .ci/install.sh .ci/
COPY tenants tenants
COPY service service
COPY schema schema
RUN ["./.ci/install.sh", "python3", "/opt/kaoping"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Kaoping (考评)" \
      org.opencontainers.image.description="Assessment of organisations behind one GraphQL API: API, worker, migration" \
      org.opencontainers.image.licenses="Apache-2.0"
# The base's own installers have no work here.
RUN python3 -m pip uninstall --yes --quiet --root-user-action ignore pip
COPY --from=build /opt/kaoping /opt/kaoping
# It logs for machines, listens on all addresses of its container, and writes nothing: there is nowhere to keep a key,
# so KAOPING_SIGNING_KEY must be given.
ENV PATH=/opt/kaoping/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    KAOPING_HOST=0.0.0.0 \
    KAOPING_PORT=8000 \
    KAOPING_METRICS_HOST=0.0.0.0 \
    KAOPING_METRICS_PORT=9000 \
    KAOPING_LOG_FORMAT=json \
    KAOPING_DATA=/nonexistent
USER 10001:10001
WORKDIR /tmp
EXPOSE 8000 9000
# API and worker answer alike on the port of their metrics.
HEALTHCHECK --interval=10s --timeout=4s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['KAOPING_METRICS_PORT'] + '/livez', timeout=3)"]
ENTRYPOINT ["kaoping"]
CMD ["serve"]
