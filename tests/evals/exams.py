"""Runs with work rows, made of plain rows: what the engine finds before it."""

import datetime as dt
from typing import Any

from django.db import transaction

from core import clock
from evals.models import CasePart, GoldenCase, GoldenSet, GoldenVersion, Result, Run
from projects.models import Project
from prompts.models import Prompt, Revision
from tests import factories

SCORERS = [{"name": "exact_match", "args": {}}, {"name": "contains", "args": {}}]
NOW = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def an_exam(project: Project, n_cases: int) -> GoldenVersion:
    """A version of `n_cases` cases: `question 1` expects `answer 1`, and so on."""
    golden_set = GoldenSet.objects.create(project=project, name=f"exam of {n_cases}", created_by="test")
    GoldenCase.objects.bulk_create(
        GoldenCase(
            golden_set=golden_set,
            key=f"case {number}",
            content_hash=f"{number}",
            input=f"question {number}",
            expected=f"answer {number}",
            part=CasePart.DEV,
            first_version=1,
            created_by="test",
        )
        for number in range(1, n_cases + 1)
    )
    return GoldenVersion.objects.create(
        golden_set=golden_set,
        number=1,
        content_hash="1",
        n_cases=n_cases,
        n_gate=0,
        cut_at=NOW,
        cut_by="test",
    )


def a_revision(project: Project, *, model: str = "oracle/echo") -> Revision:
    prompt = Prompt.objects.create(project=project, name=f"prompt {model}", created_by="test")
    return Revision.objects.create(
        prompt=prompt,
        number=1,
        content_hash="1",
        messages=[{"role": "user", "content": "{{input}}"}],
        model=model,
        created_by="test",
    )


@transaction.atomic  # as the product makes them: a sweep never sees a run without its rows
def a_run(n_cases: int = 3, *, project: Project | None = None, trials: int = 1, **fields: Any) -> Run:
    """A queued run with its waiting rows, as it stands right after it was made."""
    project = project or factories.a_project()
    version = an_exam(project, n_cases)
    run = Run.objects.create(
        **{
            "project": project,
            "golden_version": version,
            "part": CasePart.DEV,
            "target_kind": Run.TargetKind.PROMPT,
            "revision": fields.pop("revision", None) or a_revision(project),
            "scorers": SCORERS,
            "trials": trials,
            "n_results": n_cases * trials,
            "created_at": clock.now(),
            "created_by": "test",
            **fields,
        }
    )
    cases = version.golden_set.cases.order_by("id")
    Result.objects.bulk_create(
        Result(project=project, run=run, case=case, trial=trial) for trial in range(1, trials + 1) for case in cases
    )
    return run
