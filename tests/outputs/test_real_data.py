"""Real outputs come in by HTTP and are counted back."""

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from outputs import records
from outputs.redaction import rows as redaction
from outputs.services import outputs
from tests.outputs import face
from tests.outputs.face import NDJSON, OUTPUTS
from tests.outputs.live import Live

ROWS_AT_ONCE = 500


def test_every_halueval_answer_is_stored_and_counted_back(site: Live, real_data: Path) -> None:
    lines = (real_data / "halueval_general" / "general_data.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [
        {
            "id": f"halueval:{row['row']}",
            "model": "chatgpt-2023",
            "environment": "halueval",
            "input": row["user_query"],
            "output": row["chatgpt_response"],
            "metadata": {"hallucination": row["hallucination"], "spans": row["hallucination_spans"]},
        }
        for row in map(json.loads, lines)
    ]
    _hold_all(site, rows, "halueval")


def test_every_tofueval_summary_is_stored_and_counted_back(site: Live, real_data: Path) -> None:
    sentences: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    with (real_data / "tofueval" / "meetingbank_factual_eval_dev.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            sentences[row["doc_id"], row["topic"], row["model_name"]][int(row["sent_idx"])] = row["summ_sent"]
    rows = [
        {
            "id": f"tofueval:{document}:{topic}:{model}"[:200],
            "model": model,
            "environment": "tofueval",
            "input": {"document": document, "topic": topic},
            "output": " ".join(text for _, text in sorted(found.items())),
        }
        for (document, topic, model), found in sentences.items()
    ]
    assert len(rows) == 617
    _hold_all(site, rows, "tofueval")


def _hold_all(site: Live, rows: list[dict[str, Any]], environment: str) -> None:
    """All are stored once, come back as they were sent but for what is redacted, and a repeat changes nothing."""
    for turn, expected in enumerate([("accepted", "duplicates"), ("duplicates", "accepted")]):
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            told = site.post(OUTPUTS, face.lines(part), Content_Type=NDJSON)
            assert (told[expected[0]], told[expected[1]], told["rejected"]) == (len(part), 0, []), turn
    assert site.get(f"/api/v1/outputs/count?environment={environment}") == {"count": len(rows)}
    found: dict[str, Any] = {}
    address = f"/api/v1/outputs?environment={environment}&limit=1000"
    while address:
        page = site.get(address)
        found |= {row["id"]: row for row in page["results"]}
        address = page["next"]
    assert [{name: found[row["id"]][name] for name in row} for row in rows] == list(map(_redacted, rows))


def _redacted(row: dict[str, Any]) -> dict[str, Any]:
    """The row under the policy that a project has from the start."""
    record = records.checked(row, records.OutputRecord, suspect=True)
    kept, _ = redaction.of_stored(None, b"k" * 32).applied(record, outputs.TEXTS, record.environment)
    return {**row, **{name: getattr(kept, name) for name in ("input", "output", "metadata") if name in row}}
