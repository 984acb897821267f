"""Logs as JSON lines on standard error, one event a line; the launcher keeps them per process."""

import logging.config
from typing import Any

import structlog


def configuration(level: str) -> dict[str, Any]:
    """The `LOGGING` dictionary for this level."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    structlog.processors.JSONRenderer(),
                ],
                "foreign_pre_chain": _shared(),
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # uvicorn brings handlers of its own; with none it speaks through the root's, in JSON.
            "uvicorn": {"handlers": [], "propagate": True},
            # Requests are logged once, by the request middleware, without their query strings.
            "uvicorn.access": {"handlers": [], "level": "WARNING"},
            "httpx2": {"level": "WARNING"},
        },
    }


def apply(settings: dict[str, Any]) -> None:
    """Django's `LOGGING_CONFIG` hook."""
    logging.config.dictConfig(settings)
    logging.captureWarnings(True)  # Celery's word about root's privileges, say: a line of JSON like the rest
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
