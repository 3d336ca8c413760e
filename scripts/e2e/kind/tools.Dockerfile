# What asks and answers in the suite on a cluster of containers: docker build -f scripts/e2e/kind/tools.Dockerfile scripts/lab
FROM denoland/deno:debian-2.9.6
RUN apt-get update && apt-get install --yes --no-install-recommends python3 iproute2 && rm -rf /var/lib/apt/lists/*
COPY . /lab
ENV PYTHONDONTWRITEBYTECODE=1
ENTRYPOINT []
