# syntax=docker/dockerfile:1
# Every install step is in docs/deploy/install.sh; `make proof-install` runs the same file.
ARG DEBIAN=debian:bookworm-slim

FROM ${DEBIAN} AS build
WORKDIR /src
COPY pyproject.toml ./
COPY docs/deploy/install.sh docs/deploy/
COPY .locks/ .locks/
# A mirror is named by the machine that builds: docker build --secret id=pip_conf,src=pip.conf
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    docs/deploy/install.sh build-packages dependencies
COPY . .
RUN docs/deploy/install.sh application activate

FROM ${DEBIAN}
COPY docs/deploy/install.sh /src/docs/deploy/
COPY pyproject.toml /src/
RUN USER_ID=10001 /src/docs/deploy/install.sh packages user clean && rm -r /src
COPY --from=build /opt/vending/ /opt/vending/

ENV PATH=/opt/vending/current/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONFAULTHANDLER=1 \
    VENDING_HOST=0.0.0.0 \
    VENDING_PORT=8080 \
    VENDING_DATA_DIR=/var/lib/vending
# The root file system may be read-only: the product writes to this volume and nowhere else.
VOLUME /var/lib/vending
WORKDIR /var/lib/vending
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-I", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['VENDING_PORT'] + '/healthz', timeout=4).close()"]
ENTRYPOINT ["vending"]
CMD ["serve"]
