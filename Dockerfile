# syntax=docker/dockerfile:1
# The image of deploy/: the program as one executable with the permissions that it needs, and the programs by which it programs the
# kernel. No shell, no package manager. Envoy has its own image.
#
#   docker build -t lightpath/lightpath:0.1.0 .
#   docker buildx build --platform linux/amd64,linux/arm64 -t lightpath/lightpath:0.1.0 .
#
# Both stages run on the machine that builds, whatever they build for: no emulation.

# As scripts/tools/versions.ts has it.
FROM --platform=$BUILDPLATFORM denoland/deno:debian-2.9.6 AS program
WORKDIR /src
COPY . .
# What deno.lock has, and nothing newer.
RUN deno install --frozen --entrypoint mod.ts scripts/build/compile.ts
ARG TARGETARCH
# A denort that was fetched beforehand (docs/install.md), for builds that cannot reach dl.deno.land.
ARG DENORT_BIN
RUN case "$TARGETARCH" in \
    amd64) target=x86_64-unknown-linux-gnu ;; \
    arm64) target=aarch64-unknown-linux-gnu ;; \
    *) echo "Lightpath has no image for $TARGETARCH: amd64, arm64" >&2; exit 1 ;; \
  esac; \
  if [ -n "$DENORT_BIN" ]; then export DENORT_BIN; else unset DENORT_BIN; fi; \
  deno task compile --target "$target" --output /out/lightpath

FROM --platform=$BUILDPLATFORM debian:trixie-20251117-slim AS root
ARG TARGETARCH
# The day of the archive: the same packages each time, until it is moved on, for fixes of theirs, in a change of its own.
ARG DEBIAN_ARCHIVE=http://snapshot.debian.org/archive/debian/20251117T000000Z
COPY deploy/image/make_root.sh /
RUN DEBIAN_ARCHIVE="$DEBIAN_ARCHIVE" sh /make_root.sh "$TARGETARCH" /rootfs

FROM scratch
COPY --from=root /rootfs /
COPY --from=program /out/lightpath /usr/bin/lightpath
# glibc then gives back what was needed while lists were read (scripts/lightpath_command.ts).
ENV PATH=/usr/sbin:/usr/bin MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072
ENTRYPOINT ["/usr/bin/lightpath"]
LABEL org.opencontainers.image.title="Lightpath" \
  org.opencontainers.image.description="Sends the traffic of Kubernetes Services through one Envoy per node" \
  org.opencontainers.image.licenses="Apache-2.0"
