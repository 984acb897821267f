from django.urls import include, path

from evals import api
from evals.views import comparisons, golden, policies, runs, tryouts

app_name = "evals"
API = [
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
    path("runs/<int:a>/compare/<int:b>", api.run_compare, name="api-run-compare"),
    path("runs/<int:run_id>/cancel", api.run_cancel, name="api-run-cancel"),
    path("runs/<int:run_id>/pause", api.run_pause, name="api-run-pause"),
    path("runs/<int:run_id>/resume", api.run_resume, name="api-run-resume"),
]
PAGES = [
    path("runs/", runs.run_list, name="run-list"),
    path("runs/new/", runs.run_new, name="run-new"),
    path("runs/<int:run>/", runs.run_detail, name="run-detail"),
    path("runs/<int:run>/results/<int:result>/", runs.result_detail, name="result-detail"),
    path("runs/<int:run>/pause/", runs.run_pause, name="run-pause"),
    path("runs/<int:run>/resume/", runs.run_resume, name="run-resume"),
    path("runs/<int:run>/cancel/", runs.run_cancel, name="run-cancel"),
    path("runs/<int:a>/compare/<int:b>/", comparisons.run_compare, name="run-compare"),
    path("tryouts/<int:tryout>/", tryouts.tryout_detail, name="tryout-detail"),
    path("golden-sets/", golden.golden_set_list, name="golden-set-list"),
    path("golden-sets/<str:name>/", golden.golden_set_detail, name="golden-set-detail"),
    path("golden-sets/<str:name>/cut/", golden.golden_set_cut, name="golden-set-cut"),
    path("golden-sets/<str:name>/verdicts/", golden.golden_set_verdicts, name="golden-set-verdicts"),
    path("golden-sets/<str:name>/import/", golden.golden_set_import, name="golden-set-import"),
    path("golden-sets/<str:name>/export/", golden.golden_set_export, name="golden-set-export"),
    path("golden-sets/<str:name>/versions/<int:a>/diff/<int:b>/", golden.golden_set_diff, name="golden-set-diff"),
    path("prompts/<str:name>/labels/<str:label>/policy/", policies.policy_edit, name="policy-edit"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
