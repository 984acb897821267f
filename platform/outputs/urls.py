from django.urls import URLPattern, include, path

from outputs import api

app_name = "outputs"
API = [
    path("outputs", api.output_list, name="api-output-list"),
    path("outputs/count", api.output_count, name="api-output-count"),
    path("outputs/<path:external_id>", api.output_detail, name="api-output-detail"),
    path("traces/<path:trace_id>", api.trace_detail, name="api-trace-detail"),
]
PAGES: list[URLPattern] = []
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
