from django.urls import path

from desk import doors, explorer, ingest, prompts, proposals, releases, traces, verdicts, views, work
from outputs import paths  # noqa: F401 # <sent_id:…> below

app_name = "desk"
urlpatterns = [
    path("", views.home, name="home"),
    path("<slug:project>/", views.project_home, name="project-home"),
    path("<slug:project>/waiting/", views.waiting, name="waiting"),
    path("<slug:project>/search/", views.search, name="search"),
    path("<slug:project>/outputs/", explorer.output_list, name="output-list"),
    path("<slug:project>/outputs/newer/", explorer.output_newer, name="output-newer"),
    path("<slug:project>/outputs/<sent_id:external_id>/", explorer.output_detail, name="output-detail"),
    path("<slug:project>/traces/<sent_id:trace_id>/", traces.trace_detail, name="trace-detail"),
    path("<slug:project>/sessions/<sent_id:session_id>/", traces.session_detail, name="session-detail"),
    path("<slug:project>/outputs.csv", explorer.output_export, {"kind": "csv"}, name="output-export-csv"),
    path("<slug:project>/outputs.jsonl", explorer.output_export, {"kind": "jsonl"}, name="output-export-jsonl"),
    path("<slug:project>/ingest/", ingest.ingest, name="ingest"),
    path("<slug:project>/saved-filters/", explorer.filter_save, name="filter-save"),
    path("<slug:project>/saved-filters/delete/", explorer.filter_delete, name="filter-delete"),
    path("<slug:project>/feedback-doors/", doors.door_list, name="door-list"),
    path("<slug:project>/feedback-doors/<int:door>/", doors.door_detail, name="door-detail"),
    path("<slug:project>/feedback-doors/<int:door>/renew/", doors.door_renew, name="door-renew"),
    path("<slug:project>/feedback-doors/<int:door>/close/", doors.door_close, name="door-close"),
    path("<slug:project>/my-work/", work.my_work, name="my-work"),
    path("<slug:project>/verdicts/<int:verdict_id>/", verdicts.verdict_detail, name="verdict-detail"),
    # A plus stands in no name, so `+new` hides no prompt.
    path("<slug:project>/prompts/", prompts.prompt_list, name="prompt-list"),
    path("<slug:project>/prompts/+new/", prompts.prompt_form, name="prompt-form"),
    path("<slug:project>/prompts/<str:name>/", prompts.prompt_detail, name="prompt-detail"),
    path("<slug:project>/prompts/<str:name>/revisions/+new/", prompts.revision_form, name="revision-form"),
    path("<slug:project>/prompts/<str:name>/try/", prompts.prompt_tryout, name="prompt-tryout"),
    path("<slug:project>/prompts/<str:name>/gate-run/", prompts.gate_run, name="gate-run"),
    path("<slug:project>/prompts/<str:name>/propose/", prompts.propose, name="propose"),
    path("<slug:project>/prompts/<str:name>/releases/", releases.release_list, name="release-list"),
    path("<slug:project>/prompts/<str:name>/releases/+new/", releases.release_form, name="release-form"),
    path(
        "<slug:project>/prompts/<str:name>/releases/<int:release>/rollback/",
        releases.release_rollback,
        name="release-rollback",
    ),
    path("<slug:project>/proposals/", proposals.proposal_list, name="proposal-list"),
    path("<slug:project>/proposals/<int:proposal>/", proposals.proposal_detail, name="proposal-detail"),
    path("<slug:project>/proposals/<int:proposal>/approve/", proposals.proposal_approve, name="proposal-approve"),
    path("<slug:project>/proposals/<int:proposal>/reject/", proposals.proposal_reject, name="proposal-reject"),
]
