from django.urls import path

from evals import api

app_name = "evals"
urlpatterns = [
    path("golden-sets", api.golden_sets, name="api-golden-set-list"),
    path("golden-sets/<str:name>/cases", api.golden_cases, name="api-golden-case-list"),
    path("golden-sets/<str:name>/versions", api.golden_versions, name="api-golden-version-list"),
    path("golden-sets/<str:name>/versions/<int:number>", api.golden_version, name="api-golden-version-detail"),
    path(
        "golden-sets/<str:name>/versions/<int:before>/diff/<int:after>",
        api.golden_diff,
        name="api-golden-diff",
    ),
    path("prompts/<str:name>/labels/<str:label>/policy", api.policy, name="api-policy-detail"),
    path("runs", api.run_list, name="api-run-list"),
    path("runs/<int:run_id>", api.run_detail, name="api-run-detail"),
    path("runs/<int:run_id>/results", api.run_results, name="api-result-list"),
    path("runs/<int:run_id>/cancel", api.run_cancel, name="api-run-cancel"),
    path("runs/<int:run_id>/pause", api.run_pause, name="api-run-pause"),
    path("runs/<int:run_id>/resume", api.run_resume, name="api-run-resume"),
]
