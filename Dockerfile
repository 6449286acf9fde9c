# syntax=docker/dockerfile:1
# mailvet on the command line, and the service for sign-up forms: docker build -t mailvet .
FROM python:3.13-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/mailvet \
 && /opt/mailvet/bin/python -m pip install --no-cache-dir --constraint constraints.txt '.[postgres,service]'

FROM python:3.13-slim
LABEL org.opencontainers.image.title="mailvet" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 mailvet \
 && useradd --system --uid 10001 --gid mailvet --home-dir /var/lib/mailvet --create-home mailvet
COPY --from=build /opt/mailvet /opt/mailvet
# Verdicts, keys and a mailvet.toml lie in the volume.
ENV PATH=/opt/mailvet/bin:$PATH \
    XDG_DATA_HOME=/var/lib/mailvet \
    XDG_STATE_HOME=/var/lib/mailvet
WORKDIR /var/lib/mailvet
VOLUME /var/lib/mailvet
USER 10001:10001
EXPOSE 8025
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8025/healthz', timeout=2)"]
ENTRYPOINT ["mailvet"]
CMD ["serve", "--host", "0.0.0.0"]
