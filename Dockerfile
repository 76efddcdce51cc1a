# The service alone; docker-compose.yml puts Neo4j beside it.
FROM python:3.11-slim AS build
WORKDIR /source
RUN python -m venv /opt/identity-graph
ENV PATH=/opt/identity-graph/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock ./
RUN pip install --require-hashes --only-binary :all: -r requirements.lock
COPY . .
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --create-home --uid 10001 identity && install --directory --owner identity --mode 700 /data
COPY --from=build /opt/identity-graph /opt/identity-graph
ENV PATH=/opt/identity-graph/bin:$PATH PYTHONUNBUFFERED=1 IDENTITY_GRAPH_HOST=0.0.0.0 \
    IDENTITY_GRAPH_DATA_DIR=/data
USER identity
WORKDIR /home/identity
EXPOSE 8000
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=12 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["identity-graph"]
CMD ["serve"]
