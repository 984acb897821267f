"""The whole walk on real input: corrections raise the score, and what does not is refused by its figures."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from rich.console import Console

from core.statistics import paired
from demo import play
from demo.client import Refused
from tests.flows import banking77
from tests.flows.conftest import Playground

pytestmark = pytest.mark.flows


def test_corrections_raise_golden_accuracy_round_by_round(playground: Playground, real_data: Path) -> None:
    the_loop_closes(playground, real_data, n_rounds=3, least_rise=0.08, least_low=0.04)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_five_rounds_raise_it_by_twelve_points(playground: Playground, real_data: Path, seed: int) -> None:
    the_loop_closes(playground, real_data, n_rounds=5, least_rise=0.12, least_low=0.08, seed=seed)


def the_loop_closes(
    ground: Playground, data: Path, *, n_rounds: int, least_rise: float, least_low: float, seed: int = 0
) -> None:
    """Play honest rounds and one permuted one; hold every promise of the gate on the way."""
    honest = banking77.scenario(data / "banking77", n_rounds=n_rounds, seed=seed)
    permuted = banking77.scenario(data / "banking77", n_rounds=1, seed=seed, permute=True)
    rounds, refused = play.play(ground.where, [honest, permuted], Console(width=160))
    released = [row for row in rounds if row.is_released]
    start, end = rounds[0], released[-1]
    rise = difference(ground, start.run, end.run)
    print(f"golden accuracy end − start: {rise}")
    assert rise["value"] >= least_rise
    assert rise["low"] > least_low
    assert all(row.verdict == "pass" for row in released[1:]), "a released step carries a verdict that passed"
    assert [row.verdict for row in refused[1:]] == ["fail"], "permuted corrections are refused by their figures"
    assert not any(row.is_released for row in refused[1:])
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
    return {row["case"]: row["scores"][0]["value"] == 1 for row in answer["results"]}


def baselines_are_reused(ground: Playground, rounds: list[play.Round]) -> None:
    """The second run's baseline calls no model again where everything that matters is equal."""
    run = next(row.run for row in rounds[1:] if row.run is not None)
    baseline = get(ground, f"runs/{run}")["baseline"]
    results = get(ground, f"runs/{baseline}/results?limit=1000")["results"]
    assert results
    assert all(row["reused"] for row in results)


def only_evidence_releases(ground: Playground, rounds: list[play.Round], prompt: str) -> None:
    """A weakened request, a recorded target, a spent run and a run on another baseline release nothing."""
    engineer = play.Player.engineer_of(ground.where)
    golden = {"golden_set": prompt, "version": 1, "part": "gate"}
    last = next(row for row in reversed(rounds) if row.run is not None)
    weak = post(
        ground,
        "runs",
        {
            **golden,
            "target": {"prompt": prompt, "revision": last.revision},
            "scorers": [{"name": "exact_match"}],
            "baseline": "production",
            "gate": {"kind": "non_inferiority", "margin": 0.9},
        },
    )
    assert finished(ground, weak["id"])["gate"]["evidence"] is False
    recorded = post(
        ground,
        "runs",
        {
            "target": {"prompt": prompt, "revision": last.revision, "recorded": perfect_answers(ground, prompt)},
            "policy": "production",
        },
    )
    assert finished(ground, recorded["id"])["gate"]["evidence"] is False
    old = next(row for row in rounds[1:] if row.is_released)
    for run in (weak["id"], recorded["id"], old.run):
        with pytest.raises(Refused) as refused:
            engineer.release(prompt=prompt, label="production", revision=last.revision, run=run)
        assert refused.value.status == 409
        assert refused.value.problem["reasons"]
    with pytest.raises(Refused) as weakened:
        engineer.run_with(prompt=prompt, revision=last.revision, policy="production", gate={"margin": 0.9})
    assert weakened.value.status == 422


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


def finished(ground: Playground, run: int) -> dict[str, Any]:
    return play.finished_run(play.Player.engineer_of(ground.where), run)


def get(ground: Playground, path: str) -> dict[str, Any]:
    answer = httpx2.get(f"{ground.site.url}/api/v1/{path}", headers=_key(ground), timeout=60)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def post(ground: Playground, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = httpx2.post(f"{ground.site.url}/api/v1/{path}", json=body, headers=_key(ground), timeout=60)
    assert answer.status_code in (200, 201, 202), answer.text
    made: dict[str, Any] = answer.json()
    return made


def _key(ground: Playground) -> dict[str, str]:
    return {"Authorization": f"Bearer {ground.where.engineer_key}"}
