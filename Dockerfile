# One image for web, worker and beat; the command decides. Runs as a plain user on a read-only root.
FROM python:3.12-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/srv/ratchet/.venv
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /srv/ratchet
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --frozen --no-dev --no-install-project
COPY manage.py ./
COPY platform platform
COPY evals evals
COPY reviews reviews
COPY templates templates
RUN uv sync --frozen --no-dev

FROM python:3.12-slim-bookworm
# Charts as PNG need letters.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-dejavu-core && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin ratchet
COPY --from=build /srv/ratchet /srv/ratchet
WORKDIR /srv/ratchet
ENV PATH=/srv/ratchet/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    RATCHET_MODE=production RATCHET_HOME=/tmp/ratchet
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "uvicorn", "config.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-access-log", "--timeout-graceful-shutdown", "2"]
