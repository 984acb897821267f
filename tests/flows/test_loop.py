"""The whole walk on real input: corrections raise the score, and what does not is refused by its figures."""

from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rich.console import Console

from core.statistics import paired
from demo import play
from demo.client import Ratchet
from tests.flows import banking77
from tests.flows.conftest import Playground

pytestmark = pytest.mark.flows
LEAST_RISE, LEAST_LOW = 0.12, 0.08


def test_corrections_raise_golden_accuracy_round_by_round(playground: Playground, real_data: Path) -> None:
    the_loop_closes(playground, real_data, n_rounds=3)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_five_rounds_do_so_on_every_seed(playground: Playground, real_data: Path, seed: int) -> None:
    the_loop_closes(playground, real_data, n_rounds=5, seed=seed)


def the_loop_closes(ground: Playground, data: Path, *, n_rounds: int, seed: int = 0) -> None:
    """Play honest rounds and one permuted one; hold every promise of the gate on the way."""
    honest = banking77.scenario(data / "banking77", n_rounds=n_rounds, seed=seed)
    permuted = banking77.scenario(data / "banking77", n_rounds=1, seed=seed, permute=True)
    rounds, refused = play.play(ground.where, [honest, permuted], Console(width=160))
    released = [row for row in rounds if row.is_released]
    start, end = rounds[0], released[-1]
    rise = difference(ground, start.run, end.run)
    print(f"golden accuracy end − start: {rise}")
    assert rise["value"] >= LEAST_RISE
    assert rise["low"] > LEAST_LOW
    assert all(row.verdict == "pass" for row in released), "a released step carries a verdict that passed"
    tested = [row for row in refused if row.revision is not None]
    assert [row.verdict for row in tested] == ["fail"], "permuted corrections are refused by their figures"
    assert not any(row.is_released for row in tested)
    baselines_are_reused(ground, rounds)
    only_evidence_releases(ground, rounds, honest.prompt)
    every_line_has_its_origin(ground, end)


def difference(ground: Playground, start: int | None, end: int | None) -> dict[str, Any]:
    """End minus start on the cases of both runs, paired, with Tango's interval at 95 %."""
    before, after = (passed_by_case(ground, run) for run in (start, end))
    shared = sorted(before.keys() & after.keys())
    better = sum(after[case] and not before[case] for case in shared)
    worse = sum(before[case] and not after[case] for case in shared)
    return paired.tango(better, worse, len(shared)).as_dict()


def passed_by_case(ground: Playground, run: int | None) -> dict[str, bool]:
    """Case → whether its answer was right, from the run's results."""
    answer = get(ground, f"runs/{run}/results?limit=1000")
    assert answer["next"] is None
    return {row["case"]: row["scores"]["exact_match"]["value"] == 1 for row in answer["results"]}


def baselines_are_reused(ground: Playground, rounds: list[play.Round]) -> None:
    """Every baseline is a run that was there before: no model was called again for what is known."""
    tested = [row.run for row in rounds[1:] if row.revision is not None]
    known = {rounds[0].run, *tested}
    assert {get(ground, f"runs/{run}")["baseline"] for run in tested} <= known


def only_evidence_releases(ground: Playground, rounds: list[play.Round], prompt: str) -> None:
    """A weakened request, a recorded target, a spent run and a run on another baseline release nothing."""
    candidate = post(ground, f"prompts/{prompt}/revisions", another_revision(ground, prompt))["number"]
    target = {"prompt": prompt, "revision": candidate}
    exam = {"golden_set": prompt, "version": 1, "part": "gate", "scorers": [{"name": "exact_match"}]}
    weak = {"kind": "non_inferiority", "margin": 0.9}
    weakened = post(ground, "runs", {**exam, "target": target, "baseline": "production", "gate": weak})
    recorded = post(ground, "runs", {**exam, "target": {"recorded": perfect_answers(ground, prompt)}})
    spent = next(row.run for row in rounds[1:] if row.is_released)
    for run in (weakened["id"], recorded["id"], spent):
        assert not (finished(ground, run)["gate"] or {}).get("evidence")
        answer = send(ground, f"prompts/{prompt}/releases", {"label": "production", "revision": candidate, "run": run})
        assert answer.status_code == 409
        assert answer.json()["reasons"]
    mixed = send(ground, "runs", {"target": target, "policy": "production", "gate": weak})
    assert mixed.status_code == 422
    assert "gate" in mixed.text


def another_revision(ground: Playground, prompt: str) -> dict[str, Any]:
    """What is in production with another system message: a candidate nobody has tested."""
    active = get(ground, f"prompts/{prompt}?label=production")
    return {
        "messages": [{"role": "system", "content": "Sort."}, {"role": "user", "content": "{{input}}"}],
        "model": active["model"],
        "context": [{name: line[name] for name in ("kind", "input", "output")} for line in active["context"][:77]],
        "selection": active["selection"],
    }


def perfect_answers(ground: Playground, golden_set: str) -> list[dict[str, Any]]:
    cases = get(ground, f"golden-sets/{golden_set}/versions/1?limit=1000")["results"]
    return [{"case": case["id"], "output": case["expected"]} for case in cases]


def every_line_has_its_origin(ground: Playground, end: play.Round) -> None:
    """From each added line one step leads to the verdict and the output that caused it."""
    proposals = get(ground, "prompts/banking/proposals?limit=100")["results"]
    made = next(row for row in proposals if row["revision"] == end.revision)
    origins = get(ground, f"proposals/{made['id']}")["origins"]
    assert origins
    verdicts = {row["id"]: row for row in get(ground, "verdicts?part=teach&limit=1000")["results"]}
    assert all(verdicts[origin["verdict"]]["output"] == origin["output"] for origin in origins)


def finished(ground: Playground, run: int | None) -> dict[str, Any]:
    with closing(Ratchet(ground.site.url, ground.where.engineer_key)) as engineer:
        return play.wait_for(lambda: engineer.run(run or 0), play.ENDED)


def get(ground: Playground, path: str) -> dict[str, Any]:
    answer = httpx2.get(f"{ground.site.url}/api/v1/{path}", headers=_key(ground), timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def post(ground: Playground, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = send(ground, path, body)
    assert answer.status_code in (200, 201, 202), answer.text
    made: dict[str, Any] = answer.json()
    return made


def send(ground: Playground, path: str, body: dict[str, Any]) -> httpx2.Response:
    return httpx2.post(f"{ground.site.url}/api/v1/{path}", json=body, headers=_key(ground), timeout=60)


def _key(ground: Playground) -> dict[str, str]:
    return {"Authorization": f"Bearer {ground.where.engineer_key}"}
