# lapse serve on a CPU, as a user without rights, on a root file system that is read only:
#
#   docker build -t lapse .
#   docker run --rm --read-only --tmpfs /tmp:size=16m,noexec --cap-drop ALL \
#     --security-opt no-new-privileges --shm-size 64m --memory 3g --pids-limit 256 \
#     -p 127.0.0.1:8000:8000 -v "$PWD/token:/run/token:ro" lapse
#
# The token file belongs to user 10001 and has mode 0400. No volume is needed for data: the service
# writes no file. torch does not start without a folder for temporary files, so /tmp is in memory.
# The service needs no /dev/shm; 64m is Docker's default.
FROM python:3.12.8-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -c constraints.txt \
    --extra-index-url https://download.pytorch.org/whl/cpu ".[serve,dicom]"

FROM python:3.12.8-slim-bookworm
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 HOME=/nonexistent
USER 10001:10001
WORKDIR /
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["lapse", "serve", "--host", "0.0.0.0", "--port", "8000", "--token-file", "/run/token"]
