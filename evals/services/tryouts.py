"""Try-outs: one question to one revision, answered by a worker, shown to whoever asked, and soon forgotten."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from core.problems import FieldError, Invalid
from evals.models import Errand, Tryout
from evals.services import errands
from evals.services.work import storable
from evals.targets import Answer
from projects.access import Actor
from prompts.models import Revision

# Ring it with the try-out's id after `ask`; a bell that is lost costs one sweep.
BELL = "evals.tasks.try_out"
KEPT_FOR = dt.timedelta(hours=48)
LONGEST_INPUT = 500_000
LONGEST_ERROR = 2_000


def ask(*, revision: Revision, given: Mapping[str, Any], by: Actor, now: dt.datetime) -> Tryout:
    """There is a try-out of this revision that waits for a worker; it is no evidence, and takes no look.

    Ring `BELL` with its id afterwards. A repeat asks again. The page `evals:tryout-detail` shows it: as a fragment
    (`evals/tryout_detail.html#tryout`, what htmx gets) it asks for itself every second until it is finished. Put it
    on another page with `{% include "evals/tryout_detail.html#tryout" with tryout=tryout %}`.

    Args:
        revision: of a prompt of the actor's project.
        given: `{"input": text}`, or `{"variables": {name: value}}` for templates that name their own.
        by: Who asks.
        now: When.

    Raises:
        Invalid: neither or both are given, or the text is empty or too long; names `input` or `variables`.
    """
    asked, variables = _checked(given)
    return Tryout.objects.create(
        project=by.project, revision=revision, input=asked, variables=variables, created_at=now, created_by=by.name
    )


def store(*, tryout: Tryout, answer: Answer, now: dt.datetime) -> bool:
    """The try-out has this answer, or failed with its error; says whether it was still this worker's to store."""
    return errands.finish(
        tryout,
        state=Errand.State.FAILED if answer.text is None else Errand.State.DONE,
        now=now,
        output=None if answer.text is None else storable(answer.text),
        error=storable(answer.error)[:LONGEST_ERROR],
        context_ids=list(answer.context_ids),
        latency_ms=answer.latency_ms,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
    )


def forget(*, now: dt.datetime) -> int:
    """Drop those that were asked two days ago; returns how many. A repeat finds nothing."""
    return Tryout.objects.filter(created_at__lt=now - KEPT_FOR).delete()[0]


def _checked(given: Mapping[str, Any]) -> tuple[str | None, dict[str, Any] | None]:
    if set(given) == {"variables"}:
        return None, _checked_variables(given["variables"])
    if set(given) != {"input"}:
        raise Invalid(FieldError("input", "is missing; give either an input or variables"))
    asked = given["input"]
    if not isinstance(asked, str) or not asked.strip():
        raise Invalid(FieldError("input", "is empty; write what the prompt is to be asked"))
    if len(asked) > LONGEST_INPUT:
        raise Invalid(FieldError("input", f"has {len(asked)} characters; at most {LONGEST_INPUT} are taken"))
    return storable(asked), None


def _checked_variables(variables: Any) -> dict[str, Any]:
    if not isinstance(variables, dict) or not variables:
        raise Invalid(FieldError("variables", "is empty or no object; give a value for each name"))
    if sum(len(str(value)) for value in variables.values()) > LONGEST_INPUT:
        raise Invalid(FieldError("variables", f"hold more than {LONGEST_INPUT} characters"))
    return {storable(str(name)): _storable_value(value) for name, value in variables.items()}


def _storable_value(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value
