from django.urls import path

from outputs import api

app_name = "outputs"
urlpatterns = [
    path("outputs", api.output_list, name="api-output-list"),
    path("outputs/count", api.output_count, name="api-output-count"),
    path("outputs/<path:external_id>", api.output_detail, name="api-output-detail"),
]
