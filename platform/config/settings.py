"""Django's settings, made from the environment (`config.environment` says what is read and what is refused)."""

import datetime as dt
from pathlib import Path

from kombu import Queue

from config import environment, logs

ENVIRONMENT = environment.load()
ROOT = environment.ROOT
IS_PRODUCTION = ENVIRONMENT.is_production

# Security ------------------------------------------------------------------------------------------------------
SECRET_KEY = ENVIRONMENT.secret_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.csrf_trusted_origins)
DEBUG = False
ENCRYPTION_KEYS = list(ENVIRONMENT.ratchet_encryption_keys)
OUTBOUND_ALLOW = list(ENVIRONMENT.ratchet_outbound_allow)
# The default connection, for models that name none of the project's own.
OPENAI_BASE_URL = ENVIRONMENT.openai_base_url
OPENAI_API_KEY = ENVIRONMENT.openai_api_key

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = ENVIRONMENT.ratchet_https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.ratchet_https else None
SECURE_HSTS_SECONDS = 31_536_000 if ENVIRONMENT.ratchet_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = ENVIRONMENT.ratchet_https
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 20 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000

# Application ---------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "config.apps.SiteConfig",
    "demo",
    "desk",
    "insights",
    "improvement",
    "releases",
    "evals",
    "reviews",
    "outputs",
    "prompts",
    "connections",
    "projects",
    "ledger",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "allauth",
    "allauth.account",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "template_partials",
    "csp",
]
MIDDLEWARE = [
    # Before everything that makes a body: pages and static files go out small.
    "config.compression.PagesCompressed",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates", Path(__file__).parent / "templates"],  # in a checkout, in a wheel
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "desk.bar.bar",
            ],
            # Figures, icons, texts of others: every page has them without asking.
            "libraries": {"ratchet": "core.tags"},
            "builtins": ["core.tags", "template_partials.templatetags.partials"],
        },
    }
]
STATIC_URL = "/static/"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Files are served from where they lie: there is no collecting step to forget.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
DATABASES = ENVIRONMENT.databases()
# A process that stops in the middle of a transaction (frozen, not dead) must not keep its locks for ever.
LONGEST_PAUSE_MS = int(1000 * max(15, ENVIRONMENT.ratchet_lease_seconds))
if ENVIRONMENT.database_url:
    _options = DATABASES["default"].setdefault("OPTIONS", {})
    _options["options"] = (
        f"{_options.get('options', '')} -c idle_in_transaction_session_timeout={LONGEST_PAUSE_MS}".strip()
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
LOGGING = logs.configuration(ENVIRONMENT.ratchet_log_level)
LOGGING_CONFIG = "config.logs.apply"

# Accounts ------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "projects.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if ENVIRONMENT.ratchet_mode == "test":
    # Slow on purpose is for real passwords; tests make hundreds.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LOGIN_URL = "projects:login"
CSRF_FAILURE_VIEW = "projects.views.form_refused"
LOGIN_REDIRECT_URL = "desk:home"
LOGOUT_REDIRECT_URL = "projects:login"
ACCOUNT_ADAPTER = "projects.accounts.ClosedDoorAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
CACHES = {"default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "site_cache"}}

# API -----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "EXCEPTION_HANDLER": "core.rest.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "projects.authentication.KeyAuthentication",
        "projects.authentication.MemberAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["projects.permissions.NobodyByDefault"],
    "DEFAULT_SCHEMA_CLASS": "config.schema.NamedSchema",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Ratchet",
    "VERSION": "1",
    "DESCRIPTION": "The feedback loop for AI systems. Errors are RFC 9457 problem details.",
    "SERVE_INCLUDE_SCHEMA": False,
    # Fields of one name with different choices get names that say whose they are.
    "ENUM_NAME_OVERRIDES": {
        "ConnectionKind": "connections.models.Connection.Kind",
        "ContextKind": "prompts.models.ContextItem.Kind",
        "ProposalKind": "improvement.models.Proposal.Kind",
        "GateKind": "evals.gate.KINDS",
        "ExamPart": "evals.models.CasePart",
        "VerdictPart": "reviews.models.Part",
        "IntakeState": "reviews.models.Intake.State",
        "ProposalState": "improvement.models.Proposal.State",
        "RunState": "evals.models.Run.State",
        "ResultState": "evals.models.Result.State",
        "ErrandState": "evals.models.Errand.State",
        "RepricingState": "outputs.models.Repricing.State",
        "ImportState": "outputs.models.Import.State",
        "ImportKind": "outputs.models.Import.Kind",
        "DeliveryState": "ledger.models.Delivery.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.schema.add_ingest_routes",
        "config.schema.add_problems",
    ],
}

# Hand-overs and background work --------------------------------------------------------------------------------
# The lower room knows these names, never the code behind them.
HANDOVER_CONSUMERS = {
    "outputs.stored": ["reviews.sampling", "outputs.search", "outputs.contents", "insights.hours"],
    "sayings.stored": ["outputs.contents"],
    "outputs.filled": ["outputs.search"],
    "outputs.repriced": ["insights.hours"],
    "outputs.sampled": ["insights.hours"],
    "items.settled": ["insights.hours", "reviews.telling"],
}
# Which bell wakes which consumer.
HANDOVER_BELLS = {
    "reviews.sampling": "reviews.tasks.sample",
    "outputs.search": "outputs.tasks.index_texts",
    "outputs.contents": "outputs.tasks.fill_contents",
    "insights.hours": "insights.tasks.note",
    "reviews.telling": "reviews.tasks.tell",
}
# What every worker looks for every REAPER_SECONDS, so that a lost bell costs one period.
SWEEPS = [
    "ledger.tasks.sweep",
    "connections.tasks.sweep",
    "prompts.tasks.sweep",
    "outputs.tasks.sum_up_tallies",
    "outputs.tasks.sweep",
    "reviews.tasks.sweep",
    "evals.tasks.sweep",
    "improvement.tasks.sweep",
    "insights.tasks.roll_up",
]
LEASE_SECONDS = ENVIRONMENT.ratchet_lease_seconds
REAPER_SECONDS = ENVIRONMENT.ratchet_reaper_seconds
LARGEST_IMPORT = ENVIRONMENT.ratchet_largest_import

CELERY_BROKER_URL = ENVIRONMENT.celery_broker_url
CELERY_TASK_SERIALIZER = CELERY_RESULT_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = CELERY_RESULT_ACCEPT_CONTENT = ["json"]
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_DEFAULT_QUEUE = "ratchet"
QUEUE_ARGUMENTS = {"x-queue-type": "quorum"} if ENVIRONMENT.celery_broker_url.startswith("amqp") else {}
CELERY_TASK_QUEUES = [
    Queue(name, routing_key=name, queue_arguments=QUEUE_ARGUMENTS) for name in (CELERY_TASK_DEFAULT_QUEUE, "runs")
]
# A run may hold a worker for a minute and a slow model for longer; a worker for errands alone hears the rest.
CELERY_TASK_ROUTES = {"evals.tasks.drain": {"queue": "runs", "routing_key": "runs"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 5
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_PUBLISH_RETRY = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_TRANSPORT_OPTIONS = {
    # A request that rings a bell must not wait for a broker that is away (by default it would for 6 s).
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.05,
    "interval_max": 0.1,
    **(
        {"confirm_publish": True}
        if ENVIRONMENT.celery_broker_url.startswith("amqp")
        else {"socket_connect_timeout": 2, "socket_timeout": 10, "socket_keepalive": True}
    ),
}
CELERY_BEAT_SCHEDULE = {
    **{f"{name} again and again": {"task": name, "schedule": REAPER_SECONDS} for name in SWEEPS},
    "drop what has expired": {"task": "ledger.tasks.forget", "schedule": dt.timedelta(hours=1)},
    "forget old try-outs": {"task": "evals.tasks.forget", "schedule": dt.timedelta(hours=1)},
    "make partitions ahead": {"task": "outputs.tasks.make_partitions", "schedule": dt.timedelta(hours=6)},
}
