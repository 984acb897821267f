"""Real outputs with real labels, drawn and reviewed through the services: the trend against a second reckoning."""

import asyncio
import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection
from psycopg.conninfo import make_conninfo

from core import clock
from core.figures import Figure
from insights import queries, report
from insights.queries import Span
from outputs import records
from outputs.reception import Reception
from outputs.services import landing, outputs
from projects.models import Project
from reviews import estimation
from reviews.models import Match, Queue, SamplingRule
from reviews.services import sampling
from tests import factories
from tests.insights import production
from tests.reviews import desk

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Project:
    return factories.a_project()


def halueval(folder: Path, n: int) -> list[tuple[dict[str, Any], bool]]:
    """Answers of one model, and whether people found nothing made up in them."""
    lines = (folder / "halueval_general" / "general_data.jsonl").read_text(encoding="utf-8").splitlines()[:n]
    return [
        (
            {
                "id": f"halueval:{row['row']}",
                "model": "chatgpt-2023",
                "input": row["user_query"],
                "output": row["chatgpt_response"],
                "tags": ["long"] if len(row["chatgpt_response"]) > 500 else [],
            },
            row["hallucination"] == "no",
        )
        for row in map(json.loads, lines)
    ]


def tofueval(folder: Path, n: int) -> list[tuple[dict[str, Any], bool]]:
    """Summaries of six models, and whether experts found every sentence consistent with its source."""
    sentences: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
    with (folder / "tofueval" / "meetingbank_factual_eval_dev.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sentences[row["doc_id"], row["topic"], row["model_name"]].append(row)
    return [
        (
            {
                "id": f"tofueval:{document}:{topic}:{model}"[:200],
                "model": model,
                "input": {"document": document, "topic": topic},
                "output": " ".join(row["summ_sent"] for row in sorted(rows, key=lambda row: int(row["sent_idx"]))),
            },
            all(row["sent_label"] == "yes" for row in rows),
        )
        for (document, topic, model), rows in list(sentences.items())[:n]
    ]


def store(project: Project, rows: list[dict[str, Any]]) -> None:
    """As the ingest face stores them."""
    at = connection.settings_dict
    address = make_conninfo(
        host=at["HOST"], port=at["PORT"] or None, user=at["USER"], password=at["PASSWORD"] or None, dbname=at["NAME"]
    )
    read = [records.read(json.dumps(row).encode(), records.OutputRecord) for row in rows]
    arrivals = [outputs.arrival_of(record, reception=Reception(project.pk, bytes(project.hash_key))) for record in read]

    async def storing() -> None:
        line = await landing.connect(address)
        async with line, line.transaction():
            await outputs.store_outputs(line, arrivals, now=clock.now())

    asyncio.run(storing())


def review(queue: Queue, is_good: dict[str, bool]) -> None:
    """Everything in the queue, by one person who knows the labels."""
    reviewer = desk.a_reviewer(queue.project)
    while assigned := desk.next_of(queue, reviewer):
        external_id = assigned.task.item.item_outputs.get().output.external_id
        desk.hand_in(assigned, reviewer, desk.YES if is_good[external_id] else desk.NO)


def reviewed(project: Project, labelled: list[tuple[dict[str, Any], bool]], *rules: dict[str, Any]) -> Span:
    """The rows stored, drawn under these rules, reviewed, rolled up: the span of the trend that holds them."""
    store(project, [row for row, _ in labelled])
    queue = desk.a_queue(project)
    for rule in rules:
        production.a_rule(queue, **rule)
    SamplingRule.objects.update(salt=b"the same every time")
    assert sampling.draw_waiting(now=clock.now())
    review(queue, {row["id"]: is_good for row, is_good in labelled})
    production.roll_up()
    today = clock.now().date()
    return report.report(queries.choice(project.pk), report.last_days(2, today)).whole


def reckoned(project: Project, labelled: list[tuple[dict[str, Any], bool]]) -> tuple[float, float]:
    """The Hájek mean and the plain mean of what was drawn, straight from matches and labels."""
    is_good = {row["id"]: is_good for row, is_good in labelled}
    missed: dict[str, float] = defaultdict(lambda: 1.0)
    drawn = set()
    for match in Match.objects.filter(output__project=project).select_related("output"):
        missed[match.output.external_id] *= 1 - match.p
        if match.drawn:
            drawn.add(match.output.external_id)
    weights = np.array([1 / (1 - missed[one]) for one in sorted(drawn)])
    quality = np.array([float(is_good[one]) for one in sorted(drawn)])
    return float((weights * quality).sum() / weights.sum()), float(quality.mean())


def test_halueval_under_two_rules_is_weighted_as_it_was_drawn(project: Project, real_data: Path) -> None:
    labelled = halueval(real_data, 200)
    whole = reviewed(project, labelled, {"rate": 0.1}, {"rate": 0.4, "tag": "long"})
    weighted, plain = reckoned(project, labelled)
    figure = whole.quality()
    assert figure.value == pytest.approx(weighted)
    assert estimation.of_reviewed(whole.sums).value == pytest.approx(plain)
    assert whole.sums.n_settled == whole.sums.n_drawn > 10
    assert whole.volume.n == 200
    truth = np.mean([is_good for _, is_good in labelled])
    # The draw follows ids, which differ from run to run: one in a hundred thousand misses this one.
    sure = estimation.of_period(whole.sums, n_population=whole.volume.n_ok, level=0.99999)
    assert sure.low <= truth <= sure.high


def test_tofueval_judged_in_full_is_the_truth(project: Project, real_data: Path) -> None:
    labelled = tofueval(real_data, 40)
    whole = reviewed(project, labelled, {"rate": 1.0})
    truth = np.mean([is_good for _, is_good in labelled])
    assert whole.quality().value == pytest.approx(truth)
    assert_by_model(project, labelled)


def assert_by_model(project: Project, labelled: list[tuple[dict[str, Any], bool]]) -> None:
    """The series of each model is the share of its good summaries."""
    labels: dict[str, list[bool]] = defaultdict(list)
    for row, is_good in labelled:
        labels[row["model"]].append(is_good)
    period = report.last_days(2, clock.now().date())
    series = queries.series(queries.choice(project.pk), since=period.start, until=period.end, by="day", group="model")
    assert series.keys() == labels.keys()
    for model, found in series.items():
        (rubric,) = found.sums
        (span,) = found.spans(rubric).values()
        figure: Figure = span.quality()
        assert span.sums.mean == pytest.approx(np.mean(labels[model]))
        assert (figure.value is None) == (len(labels[model]) < estimation.LEAST_EFFECTIVE)
