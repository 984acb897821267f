"""Days of production for the tests of the room: outputs as ingest leaves them, drawn by real rules, settled."""

import datetime as dt
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

from core import clock
from insights import services
from ledger import handovers
from ledger.handovers import Claimed
from outputs.models import Output
from projects.models import Project
from reviews.models import Item, ItemOutput, PartSplit, Queue, SamplingRule, Verdict
from reviews.services import rules, sampling
from tests import factories

_numbers = itertools.count(1)


def arrive(project: Project, at: dt.datetime, n: int = 1, **fields: Any) -> list[Output]:
    """n outputs that arrived at this moment, announced as ingest announces them."""
    return arrive_as(project, [{"received_at": at, **fields}] * n)


def arrive_as(project: Project, rows: Sequence[dict[str, Any]]) -> list[Output]:
    """These outputs together; each says when it arrived."""
    made = Output.objects.bulk_create(
        Output(
            project=project,
            external_id=f"made-{next(_numbers)}",
            body_hash=b"",
            received_on=row["received_at"].date(),
            **{"latency_ms": 100.0, **row},
        )
        for row in rows
    )
    handovers.announce("outputs.stored", project_id=project.pk, ids=[output.pk for output in made])
    return made


def a_rule(queue: Queue, rate: float, **given: Any) -> SamplingRule:
    by = factories.an_actor(queue.project)
    return rules.create_rule(queue=queue, rate=rate, given=given, by=by, now=clock.now())[0]


def draw(outputs: Sequence[Output]) -> None:
    """As the worker does it."""
    sampling.draw(claimed=[Claimed(outputs[0].project_id, "outputs.stored", [output.pk for output in outputs])])


def settle(items: Iterable[Item], quality: Callable[[Item], float]) -> list[Verdict]:
    """A standing verdict for each item, announced as adjudication announces it."""
    found = list(items)
    if not found:
        return []
    project = found[0].project
    split, _ = PartSplit.objects.get_or_create(
        project=project, prompt=None, text_hash=b"made", defaults={"text": "made", "bands": [], "part": "teach"}
    )
    verdicts = Verdict.objects.bulk_create(
        Verdict(
            project=project,
            item=item,
            answers={},
            quality=quality(item),
            part="teach",
            split=split,
            settled_by="agreement",
            settled_at=clock.now(),
            by="somebody",
        )
        for item in found
    )
    Item.objects.filter(pk__in=[item.pk for item in found]).update(state=Item.State.SETTLED)
    handovers.announce("items.settled", project_id=project.pk, ids=[item.pk for item in found])
    return verdicts


def roll_up() -> int:
    """Everything that waits is noted and reckoned; says how many hours were."""
    services.note_waiting(now=clock.now(), seconds=60)
    return services.roll_up(seconds=60)


def items_of(outputs: Sequence[Output]) -> list[Item]:
    places = ItemOutput.objects.filter(output__in=outputs).select_related("item__project").order_by("pk")
    return [place.item for place in places]


def a_day(
    project: Project,
    at: dt.datetime,
    n: int,
    *,
    dice: random.Random,
    good: float,
    reviewed: float = 1.0,
    is_drawn: bool = True,
    errors: float = 0.02,
    cost: float | None = 0.008,
    latency: float = 900.0,
    **fields: Any,
) -> list[Output]:
    """A day of traffic over its hours, drawn and reviewed."""
    rows = [
        {
            "received_at": at + dt.timedelta(hours=hour),
            "status": int(dice.random() < errors),
            "latency_ms": dice.lognormvariate(0, 0.45) * latency,
            "cost_usd": None if cost is None or dice.random() < 0.02 else price(cost * dice.uniform(0.7, 1.3)),
            **fields,
        }
        for hour in range(0, 24, 3)
        for _ in range(n // 8)
    ]
    made = arrive_as(project, rows)
    if is_drawn:
        draw(made)
        waiting = [item for item in items_of(made) if dice.random() < reviewed]
        settle(waiting, lambda item: float(dice.random() < good))
    return made


def price(dollars: float) -> Decimal:
    return Decimal(f"{dollars:.6f}")
