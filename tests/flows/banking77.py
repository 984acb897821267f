"""The scenario of banking77: real bank customers' questions, 77 intents, one example each at the start."""

import csv
import random
from collections import defaultdict
from pathlib import Path

from demo.scenario import Scenario
from demo.traffic import Message

N_GOLDEN_PER_INTENT = 10
N_PER_ROUND = 200


def scenario(data: Path, *, n_rounds: int, seed: int = 0, permute: bool = False) -> Scenario:
    """One example per intent, `n_rounds` × 200 messages of the train file, 770 golden cases of the test file."""
    pools = _by_intent(data / "train.csv")
    shuffled = random.Random(seed)
    for pool in pools.values():
        shuffled.shuffle(pool)
    seeds = [pool[0] for pool in pools.values()]
    traffic = [message for pool in pools.values() for message in pool[1:]]
    shuffled.shuffle(traffic)
    golden = [case for pool in _by_intent(data / "test.csv").values() for case in pool[:N_GOLDEN_PER_INTENT]]
    return Scenario(
        prompt="banking-permuted" if permute else "banking",
        seed_examples=seeds,
        golden_cases=golden,
        rounds=[traffic[at * N_PER_ROUND : (at + 1) * N_PER_ROUND] for at in range(n_rounds)],
        permute=permute,
        seed=seed,
    )


def _by_intent(path: Path) -> dict[str, list[Message]]:
    pools: dict[str, list[Message]] = defaultdict(list)
    seen: set[str] = set()
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["text"] not in seen:
                seen.add(row["text"])
                pools[row["category"]].append(Message(text=row["text"], intent=row["category"]))
    return dict(pools)
