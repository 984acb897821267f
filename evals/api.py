"""The API of golden sets, policies and runs."""

from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import renderer_classes
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from core import clock, paging
from core.problems import FieldError, Invalid
from evals import gate, imports, queries, run_queries, serializers, steering
from evals.models import Comparison, GoldenCase, Result, Run
from evals.services import golden, looks, policies, runs
from projects.access import Scope
from projects.endpoint import actor_of, endpoint
from prompts import names
from prompts import queries as prompts

NDJSON = "application/x-ndjson"


class RowsRenderer(BaseRenderer):
    """Lets a client ask for JSON Lines; the rows are streamed by the view, problems stay JSON."""

    media_type = NDJSON
    format = "ndjson"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return JSONRenderer().render(data)


@extend_schema(methods=["GET"], summary="Golden sets", responses=serializers.GoldenSetPage)
@extend_schema(
    methods=["POST"],
    summary="Create a golden set",
    description="A repeat answers 200 with the set that exists.",
    request=serializers.GoldenSetRequest,
    responses={200: serializers.GoldenSetShown, 201: serializers.GoldenSetShown},
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def golden_sets(request: Request) -> Response:
    project = actor_of(request).project
    if request.method == "POST":
        return _create_set(request)
    paging.refuse_unknown(request, set())
    rows = queries.golden_sets(project)
    return Response(paging.page(request, rows, lambda row: serializers.GoldenSetShown(row).data))


@extend_schema(
    summary="Add cases to the draft of a golden set",
    description=(
        "JSON Lines (application/x-ndjson) or a JSON array of cases; with format=verdicts settled verdicts"
        " of the set's prompt. A case without a part is dealt to gate or dev, half and half, by a hash of its"
        " text."
    ),
    parameters=[
        OpenApiParameter("format", OpenApiTypes.STR, enum=list(imports.FORMATS), default="jsonl"),
        OpenApiParameter("cut", OpenApiTypes.BOOL, description="true: cut a version of the draft afterwards"),
    ],
    request=OpenApiTypes.OBJECT,
    responses={200: serializers.CasesAdded, 201: serializers.CasesAdded},
)
@endpoint(POST=Scope.EVALUATE)
def golden_cases(request: Request, name: str) -> Response:
    paging.refuse_unknown(request, {"format", "cut"})
    golden_set = queries.golden_set(actor_of(request).project, name)
    is_cut = _flag(request, "cut")
    done = imports.into_draft(
        golden_set,
        request.data,
        form=request.query_params.get("format", "jsonl"),
        by=actor_of(request),
        now=clock.now(),
    )
    if is_cut:
        done["version"] = golden.cut(golden_set=golden_set, by=actor_of(request), now=clock.now())[0].number
    return Response(done, status=201 if done["added"] or done["changed"] else 200)


@extend_schema(
    summary="Cut a version of the draft",
    description="Where nothing changed since the newest version, that one is answered with 200.",
    request=None,
    responses={200: serializers.VersionCut, 201: serializers.VersionCut},
)
@endpoint(POST=Scope.EVALUATE)
def golden_versions(request: Request, name: str) -> Response:
    golden_set = queries.golden_set(actor_of(request).project, name)
    version, is_new = golden.cut(golden_set=golden_set, by=actor_of(request), now=clock.now())
    return Response(serializers.VersionCut(version).data, status=201 if is_new else 200)


@extend_schema(summary="A version of a golden set and its cases", responses=serializers.VersionShown)
@endpoint(GET=Scope.READ)
def golden_version(request: Request, name: str, number: int) -> Response:
    paging.refuse_unknown(request, set())
    version = queries.version(queries.golden_set(actor_of(request).project, name), number)
    cases = paging.page(request, GoldenCase.objects.of_version(version), lambda row: serializers.CaseShown(row).data)
    about = {"cut_at": version.cut_at, "cut_by": version.cut_by}
    return Response({**serializers.VersionCut(version).data, **about, **cases})


@extend_schema(summary="What changed between two versions", responses=serializers.DiffShown)
@endpoint(GET=Scope.READ)
def golden_diff(request: Request, name: str, before: int, after: int) -> Response:
    golden_set = queries.golden_set(actor_of(request).project, name)
    found = queries.diff(queries.version(golden_set, before), queries.version(golden_set, after))
    return Response(serializers.DiffShown(found).data)


@extend_schema(methods=["GET"], summary="What a label demands", responses=serializers.PolicyShown)
@extend_schema(
    methods=["PUT"],
    summary="Set what a label demands",
    description="A change is a new version; a repeat changes nothing.",
    request=serializers.PolicyRequest,
    responses=serializers.PolicyShown,
)
@endpoint(GET=Scope.READ, PUT=Scope.ADMIN)
def policy(request: Request, name: str, label: str) -> Response:
    project = actor_of(request).project
    prompt = prompts.prompt_named(project.pk, name)
    if request.method == "GET":
        return Response(serializers.PolicyShown(queries.policy_in_force(prompt, label)).data)
    asked = serializers.PolicyRequest.read(request.data)
    asked["golden_set"] = queries.golden_set(project, asked["golden_set"])
    made, _ = policies.put_policy(
        prompt=prompt, label_name=label, terms=policies.Terms(**asked), by=actor_of(request), now=clock.now()
    )
    return Response(serializers.PolicyShown(made).data)


@extend_schema(
    methods=["GET"],
    operation_id="runs_list",
    summary="Runs",
    parameters=[OpenApiParameter(each, OpenApiTypes.STR) for each in ("golden_set", "prompt", "state")],
    responses=serializers.RunPage,
)
@extend_schema(
    methods=["POST"],
    summary="Start a run",
    request=serializers.RunRequestBody,
    responses={202: serializers.RunStarted},
)
@endpoint(GET=Scope.READ, POST=Scope.EVALUATE)
def run_list(request: Request) -> Response:
    if request.method == "POST":
        return _start_run(request)
    paging.refuse_unknown(request, {"golden_set", "prompt", "state"})
    rows = queries.runs_like(actor_of(request).project, request.query_params.dict())
    return Response(paging.page(request, rows, lambda row: serializers.RunListed(row).data))


@extend_schema(summary="A run with progress, scores and verdict", responses=serializers.RunShown)
@endpoint(GET=Scope.READ)
def run_detail(request: Request, run_id: int) -> Response:
    return Response(_shown(queries.run(actor_of(request).project, run_id)))


@extend_schema(
    summary="The results of a run, case by case",
    description="In pages, newest first; all of them as JSON Lines with Accept: application/x-ndjson.",
    responses=serializers.ResultPage,
)
@endpoint(GET=Scope.READ)
@renderer_classes([JSONRenderer, RowsRenderer])
def run_results(request: Request, run_id: int) -> Response | HttpResponse:
    paging.refuse_unknown(request, set())
    run = queries.run(actor_of(request).project, run_id)
    if getattr(request, "accepted_media_type", "") == NDJSON:
        lines = (JSONRenderer().render(_result(result)) + b"\n" for result in queries.results_in_order(run))
        return StreamingHttpResponse(lines, content_type=NDJSON)  # type: ignore[return-value]  # a response all the same
    return Response(paging.page(request, queries.results(run), _result))


@extend_schema(summary="Cancel a run", request=None, responses=serializers.RunShown)
@endpoint(POST=Scope.EVALUATE)
def run_cancel(request: Request, run_id: int) -> Response:
    run = queries.run(actor_of(request).project, run_id)
    steering.cancel(run, by=actor_of(request), now=clock.now())
    return Response(_shown(queries.run(actor_of(request).project, run_id)))


@extend_schema(summary="Pause a run", request=None, responses=serializers.RunShown)
@endpoint(POST=Scope.EVALUATE)
def run_pause(request: Request, run_id: int) -> Response:
    run = queries.run(actor_of(request).project, run_id)
    runs.pause(run=run, by=actor_of(request), now=clock.now())
    return Response(_shown(queries.run(actor_of(request).project, run_id)))


@extend_schema(summary="Resume a paused run", request=None, responses=serializers.RunShown)
@endpoint(POST=Scope.EVALUATE)
def run_resume(request: Request, run_id: int) -> Response:
    run = queries.run(actor_of(request).project, run_id)
    steering.resume(run, by=actor_of(request), now=clock.now())
    return Response(_shown(queries.run(actor_of(request).project, run_id)))


@extend_schema(
    summary="Two finished runs beside each other",
    description=(
        "Works out once and is kept; 202 while a worker is at it. Cases are paired by id and equal content, so runs"
        " on different versions can be compared. It is no evidence and takes no look. 409 while a run is not done."
    ),
    responses={200: serializers.ComparisonShown, 202: serializers.ComparisonShown},
)
@endpoint(GET=Scope.READ)
def run_compare(request: Request, a: int, b: int) -> Response:
    paging.refuse_unknown(request, set())
    project = actor_of(request).project
    candidate, baseline = queries.run(project, a), queries.run(project, b)
    found = run_queries.comparison(candidate, baseline)
    if found is None or not found.is_finished:
        # The contract lets a look ask for it, of whoever may read: what is made is derived from the two runs alone and
        # the same for everybody. One that failed is told as such, so that whoever polls it comes to an end.
        found = steering.compare(candidate, baseline, by=actor_of(request), now=clock.now())
    return Response(_compared(found), status=200 if found.is_finished else 202)


def _compared(found: Comparison) -> dict[str, Any]:
    """The comparison with its cases by their ids in the golden set."""
    result = found.result or {}
    rows = result.get("scorers", [])
    keys = queries.case_keys(case_id for row in rows for case_id in (*row["better"], *row["worse"]))
    named = [{**row, **{side: [keys[pk] for pk in row[side]] for side in ("better", "worse")}} for row in rows]
    flipped = next((row for row in named if row["verdict"] == result.get("verdict")), None)
    shown = {
        "state": found.state,
        "reason": found.error,
        **{name: result.get(name) for name in serializers.COMPARED},
        "candidate": found.candidate_id,
        "baseline": found.baseline_id,
        "scorers": named,
        "flipped": {side: [] if flipped is None else flipped[side] for side in ("better", "worse")},
        "slices": result.get("slices", []),
    }
    return dict(serializers.ComparisonShown(shown).data)


def _create_set(request: Request) -> Response:
    actor = actor_of(request)
    asked = serializers.GoldenSetRequest.read(request.data)
    names.check("name", asked["name"], serializers.LONGEST_NAME)
    prompt = None if asked["prompt"] is None else prompts.prompt_named(actor.project.pk, asked["prompt"])
    _, is_new = golden.create_set(
        name=asked["name"], prompt=prompt, description=asked["description"], by=actor, now=clock.now()
    )
    shown = serializers.GoldenSetShown(queries.golden_set(actor.project, asked["name"])).data
    return Response(shown, status=201 if is_new else 200)


def _start_run(request: Request) -> Response:
    asked = serializers.RunRequestBody.request_of(request.data)
    run = steering.start(asked, by=actor_of(request), now=clock.now())
    url = request.build_absolute_uri(reverse("evals:api-run-detail", args=[run.pk]))
    return Response({"id": run.pk, "url": url}, status=202, headers={"Location": url})


def _shown(run: Run) -> dict[str, Any]:
    return {
        **serializers.RunListed(run).data,
        "scorers": serializers.ScorerShown(run.scorers, many=True).data,
        "trials": run.trials,
        "concurrency": run.concurrency,
        "seed": run.seed,
        "budget_calls": run.budget_calls,
        "progress": serializers.ProgressShown(queries.progress(run)).data,
        # There are no prices yet: unknown is null, never 0.
        "cost_usd": None,
        "gate": None if run.gate is None else _gate(run, run.gate),
    }


def _gate(run: Run, stored: dict[str, Any]) -> dict[str, Any]:
    """The stored judgement with what may have changed since: looks, and whether it is still evidence."""
    flipped = [case_id for judged in stored["scorers"] for case_id in (*judged["better"], *judged["worse"])]
    keys = queries.case_keys(flipped)
    judged_by = [
        {**judged, **{side: [keys[case_id] for case_id in judged[side]] for side in ("better", "worse")}}
        for judged in stored["scorers"]
    ]
    now = {"looks_left": looks.left_for(run), "evidence": gate.stands_as_evidence(run)}
    return dict(serializers.GateShown({**stored, "scorers": judged_by, **now}).data)


def _result(result: Result) -> dict[str, Any]:
    return dict(serializers.ResultShown(result).data)


def _flag(request: Request, name: str) -> bool:
    text = request.query_params.get(name, "false")
    if text not in ("true", "false"):
        raise Invalid(FieldError(name, f"is {text[:40]!r}; send true or false"))
    return text == "true"
