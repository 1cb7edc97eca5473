# Everything the worker needs as wheels, the very ones that requirements.lock has the hashes of, and what builds
# our own. What has no wheel is an error here, so no compiler is ever wanted.
FROM python:3.11-slim-bookworm AS wheels
WORKDIR /source
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --no-deps --require-hashes --wheel-dir /wheels --requirement requirements.lock \
    && pip install --no-cache-dir --upgrade --no-index --find-links /wheels setuptools
COPY pyproject.toml README.md LICENSE ./
COPY models models
COPY tables tables
COPY engine engine
COPY agents agents
COPY app app
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 \
    GRADEWATCH_DATA_DIR=/var/lib/gradewatch \
    GRADEWATCH_LOG_FORMAT=json
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels gradewatch \
    && useradd --system --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin gradewatch \
    && install --directory --owner gradewatch --mode 0700 /var/lib/gradewatch
# By number, so that Kubernetes can see that it isn't root.
USER 10001
VOLUME /var/lib/gradewatch
# The worker's own word that it is alive; GRADEWATCH_WEB_PORT moves the port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('GRADEWATCH_WEB_PORT', '6066') + '/healthz', timeout=4)"]
ENTRYPOINT ["gradewatch"]
CMD ["worker"]
