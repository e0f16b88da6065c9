# syntax=docker/dockerfile:1
# Two images:
#   --target service   the API, migrations, tokens; without torch
#   --target worker    all of it; TORCH_INDEX decides whose torch: CPU (as here), or CUDA (https://pypi.org/simple)
# docker-compose.yml builds them; docs/operating.md says how to run them.

# 3.11 is what the tests run on.
ARG PYTHON_IMAGE=python:3.11.17-slim-trixie


FROM ${PYTHON_IMAGE} AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/vcpbench
ENV PATH=/opt/vcpbench/bin:$PATH
WORKDIR /build
COPY constraints.txt pyproject.toml ./
COPY client/pyproject.toml client/
COPY deploy/requirements.py deploy/
RUN --mount=type=cache,target=/root/.cache/pip \
    python deploy/requirements.py pyproject.toml client/pyproject.toml > requirements.txt \
    && pip install -c constraints.txt setuptools -r requirements.txt


FROM dependencies AS dependencies-torch
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# torch alone from its index, at the version of constraints.txt; what it needs in turn from PyPI.
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install -c constraints.txt --no-deps --index-url "${TORCH_INDEX}" torch \
    && pip install -c constraints.txt torch


FROM dependencies AS wheels
# For vcp_core/video/_kernel.c. No later stage has a compiler, so its version is not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY LICENSE setup.py ./
COPY client client
COPY deploy/pypi.md deploy/
COPY migrations migrations
COPY records records
COPY service service
COPY stack stack
COPY vcp_core vcp_core
COPY worker worker
# A wheel without the kernel works, but is slower. So the build of the image fails if the compiler failed.
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./client . \
    && python -m zipfile --list /wheels/vcpbench-*.whl | grep --quiet _kernel.abi3.so


FROM dependencies AS installed-service
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl


FROM dependencies-torch AS installed-worker
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-deps /wheels/*.whl \
    && pip check


FROM ${PYTHON_IMAGE} AS runtime
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="vcpbench" \
      org.opencontainers.image.description="What a video network's representation can do, for every checkpoint" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
# A new volume takes over owner and mode of the folder that it hides.
RUN groupadd --gid 10001 vcpbench \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/vcpbench --shell /usr/sbin/nologin vcpbench \
    && install --directory --owner=10001 --group=10001 --mode=0750 \
       /var/lib/vcpbench /var/lib/vcpbench/files /var/lib/vcpbench/scratch
# Safe path: the working folder is no place to import from.
ENV PATH=/opt/vcpbench/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1
WORKDIR /opt/vcpbench
USER 10001:10001
STOPSIGNAL SIGTERM


FROM runtime AS service
COPY --from=installed-service /opt/vcpbench /opt/vcpbench
ENV VCPBENCH_HOST=0.0.0.0 \
    VCPBENCH_PORT=8080
EXPOSE 8080
# http.client, because urllib would ask a proxy of the environment.
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 8080, timeout=5); c.request('GET', '/v1/health'); raise SystemExit(c.getresponse().status != 200)"]
CMD ["python", "-m", "service"]


FROM runtime AS worker
COPY --from=installed-worker /opt/vcpbench /opt/vcpbench
ENV VCPBENCH_CACHE=/var/lib/vcpbench/files/cache \
    VCPBENCH_DATA=/var/lib/vcpbench/files/data \
    VCPBENCH_SCRATCH=/var/lib/vcpbench/scratch
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s --retries=3 \
    CMD ["python", "-m", "worker", "--health"]
CMD ["python", "-m", "worker"]
