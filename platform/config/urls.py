"""Every route of the Django face; the ingest routes belong to `outputs.ingest` (see `config.asgi`)."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views.decorators.csrf import csrf_exempt

from config import views
from core import rest
from core.problems import Missing


@csrf_exempt
def no_such_endpoint(request: HttpRequest, rest_of_path: str) -> HttpResponse:
    """Below `/api/` even an unknown path answers with problem details."""
    return rest.bare_answer(Missing("endpoint"))


urlpatterns = [
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("api/schema/", views.api_schema, name="api-schema"),
    path("api/docs/", views.api_docs, name="api-docs"),
    path("admin/", admin.site.urls),
    path("", include("projects.urls")),
    path("api/v1/", include("connections.urls")),
    path("api/v1/", include("prompts.urls")),
    path("api/v1/", include("outputs.urls")),
    path("api/v1/", include("reviews.urls")),
    path("api/v1/", include("evals.urls")),
    path("api/v1/", include("releases.urls")),
    path("api/v1/", include("improvement.urls")),
    re_path(r"^api/(?P<rest_of_path>.*)$", no_such_endpoint),
    path("", include("desk.urls")),
]
