# One image for every process: `beatledger up`, each role, `migrate`, and the other commands.
# Dependencies first, by hash and as wheels only, so that a change of our code leaves their layer alone.

FROM python:3.11.16-slim-bookworm AS build
RUN python -m venv /opt/beatledger
ENV PATH=/opt/beatledger/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements.image.lock .
RUN pip install --only-binary :all: --require-hashes -r requirements.image.lock
COPY . .
RUN pip install --no-deps --no-build-isolation . \
    && pip uninstall --yes setuptools pip

FROM python:3.11.16-slim-bookworm
RUN groupadd --gid 10001 beatledger \
    && useradd --uid 10001 --gid beatledger --no-create-home --home-dir /data --shell /usr/sbin/nologin beatledger \
    && install --directory --owner beatledger --group beatledger --mode 0711 /data
COPY --from=build /opt/beatledger /opt/beatledger
ENV PATH=/opt/beatledger/bin:$PATH PYTHONUNBUFFERED=1 BEATLEDGER_DATA_DIR=/data
USER 10001:10001
# All it writes lies here, and in /tmp: the root file system may be read-only.
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=5); c.request('GET', '/readyz'); r = c.getresponse(); print(r.read().decode()); exit(r.status != 200)"]
# No shell in between: signals reach beatledger itself. Give it an init (`docker run --init`), since the kernel
# keeps SIGTERM from a process 1 that has not asked for it yet, as in our first second.
ENTRYPOINT ["beatledger"]
CMD ["up", "--host", "0.0.0.0"]
