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
    path("", include("connections.urls")),
    path("", include("prompts.urls")),
    # The verdict on an output stands below the output's own address, which takes any text.
    path("", include("reviews.urls")),
    path("", include("outputs.urls")),
    path("", include("evals.urls")),
    path("", include("releases.urls")),
    path("", include("improvement.urls")),
    path("", include("insights.urls")),
    re_path(r"^api/(?P<rest_of_path>.*)$", no_such_endpoint),
    path("", include("desk.urls")),
]
