# A worker: serves the tools of agents. Build it from the repository's root:
#
#   docker build -f docker/worker.Dockerfile -t agentspan-worker .
#
# and your own on top of it:
#
#   FROM agentspan-worker
#   COPY --chown=agentspan shop.py .
#   CMD ["shop.py:agent"]

FROM python:3.12-slim AS build
# Extras of the package, such as [otel].
ARG EXTRAS=""
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python3 -m venv /opt/agentspan && /opt/agentspan/bin/pip install --no-cache-dir ".$EXTRAS" \
    && /opt/agentspan/bin/pip uninstall --yes pip

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home agentspan
COPY --from=build /opt/agentspan /opt/agentspan
ENV PATH=/opt/agentspan/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    AGENTSPAN_HEALTH_FILE=/tmp/agentspan-worker.health
WORKDIR /agents
COPY examples/feedback.py .
USER 10001

# Fails when the worker stands still, and when no server has answered it for a minute.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=2 CMD ["agentspan", "worker", "check", "--ready"]

# Running calls get 30 s to finish, what is left is handed back. So give it more than 30 s before it is killed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["agentspan", "worker", "start"]
CMD ["feedback.py:agent"]
