# The project's executables and definitions in one image; compose.yaml says which one runs.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bins --package deploy --package ingest --package aggregator --package sli --package loadtest \
    && mkdir /out \
    && cp target/release/deploy target/release/ingest target/release/aggregator target/release/sli target/release/loadtest /out/

FROM debian:bookworm-slim
# curl is for health checks, libssl3 for TLS to Kafka and ClickHouse.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl libssl3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/client-sli --create-home client-sli \
    && install --directory --owner=client-sli /var/lib/client-sli/spool
COPY --from=build /out/ /usr/local/bin/
COPY definitions/ /usr/share/client-sli/definitions/
USER client-sli
WORKDIR /var/lib/client-sli
EXPOSE 8080 8081 8082 8090
CMD ["deploy", "--help"]
