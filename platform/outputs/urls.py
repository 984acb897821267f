from django.urls import URLPattern, include, path

from outputs import (
    api,
    import_api,
    import_views,
    paths,  # noqa: F401 # <sent_id:…> below
    price_api,
    redaction_api,
    redaction_views,
)

app_name = "outputs"
API = [
    path("outputs", api.output_list, name="api-output-list"),
    path("outputs/count", api.output_count, name="api-output-count"),
    path("outputs/<sent_id:external_id>", api.output_detail, name="api-output-detail"),
    path("imports", import_api.import_list, name="api-import-list"),
    path("imports/<int:import_id>", import_api.import_detail, name="api-import-detail"),
    path("imports/<int:import_id>/start", import_api.import_start, name="api-import-start"),
    path("imports/<int:import_id>/cancel", import_api.import_cancel, name="api-import-cancel"),
    path("imports/<int:import_id>/preview", import_api.import_preview, name="api-import-preview"),
    path("imports/<int:import_id>/flaws", import_api.import_flaws, name="api-import-flaws"),
    path("prices/apply", price_api.apply, name="api-price-apply"),
    path("prices/apply/<int:repricing_id>", price_api.repricing_detail, name="api-repricing-detail"),
    path("ingest-limits", api.ingest_limits, name="api-ingest-limits"),
    path("traces/<sent_id:trace_id>", api.trace_detail, name="api-trace-detail"),
    path("redaction", redaction_api.redaction_policies, name="api-redaction"),
    path("redaction/preview", redaction_api.redaction_preview, name="api-redaction-preview"),
]
PAGES: list[URLPattern] = [
    path("imports/", import_views.import_list, name="import-list"),
    path("imports/+new/", import_views.import_new, name="import-new"),
    path("imports/<int:import_id>/", import_views.import_detail, name="import-detail"),
    path("imports/<int:import_id>/start/", import_views.import_start, name="import-start"),
    path("imports/<int:import_id>/cancel/", import_views.import_cancel, name="import-cancel"),
    path("imports/<int:import_id>/rejected.<slug:form>", import_views.import_rejected, name="import-rejected"),
    path("redaction/", redaction_views.redaction_policy, name="redaction-policy"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
