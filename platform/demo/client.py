"""The calls of the public API that the demo makes, one small method each; it knows the contract alone."""

import time
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import httpx2
import msgspec

Json = dict[str, Any]
PATIENCE_S = 60.0


class Refused(Exception):
    """The API answered with a problem instead of doing what was asked."""

    def __init__(self, response: httpx2.Response) -> None:
        self.status = response.status_code
        self.problem = _problem_in(response)
        super().__init__(f"{response.request.method} {response.request.url.path}: {self.status}, {self.reason}")

    @property
    def reason(self) -> str:
        """The problem in one line, with the fields it names."""
        named = [f"{error.get('field')}: {error.get('message')}" for error in self.problem.get("errors", [])]
        if reasons := self.problem.get("reasons"):
            return str(reasons[0])
        return "; ".join([str(self.problem.get("detail") or self.problem.get("title")), *named])


class Ratchet:
    """One key's view of the API under `/api/v1/`; threads may share it.

    Every method raises `Refused` where the API answers with a problem. An answer that asks for patience
    (`Retry-After`) is asked again, for a minute at most.
    """

    def __init__(self, base_url: str, key: str) -> None:
        self._root = base_url.rstrip("/")
        self._http = httpx2.Client(
            base_url=f"{self._root}/api/v1/", headers={"Authorization": f"Bearer {key}"}, timeout=60
        )

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # --- set-up ---

    def add_connection(self, *, name: str, base_url: str, secret: str, concurrency: int) -> None:
        """Tell the workers where a model is served."""
        body = {"name": name, "kind": "openai", "base_url": base_url, "concurrency": concurrency}
        self._post("connections", {**body, "secret": secret})

    def add_rubric(self, *, name: str, questions: Iterable[Json], quality: Json) -> None:
        """What reviewers are asked, and which answer is the quality."""
        self._post("rubrics", {"name": name, "questions": list(questions), "quality": quality})

    def add_queue(self, *, name: str, rubric: str) -> None:
        """A queue in which one review settles an item."""
        self._post("queues", {"name": name, "rubric": rubric, "overlap": 1})

    def add_rule(self, *, queue: str, prompt: str, rate: float) -> None:
        """Draw this share of the prompt's outputs into the queue."""
        self._post(f"queues/{queue}/rules", {"kind": "probability", "rate": rate, "filter": {"prompt": prompt}})

    def add_prompt(self, *, name: str, description: str) -> None:
        """A prompt, still without a revision."""
        self._post("prompts", {"name": name, "description": description})

    def add_revision(self, *, prompt: str, system: str, examples: Iterable[Json], model: str, k: int) -> int:
        """A revision that shows the model the `k` examples most similar to the input; its number."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": "{{input}}"}]
        body = {
            "messages": messages,
            "model": model,
            "parameters": {"temperature": 0},
            "context": list(examples),
        }
        answer = self._post(f"prompts/{prompt}/revisions", {**body, "selection": {"strategy": "similar", "k": k}})
        return int(answer["number"])

    def set_parts(self, *, prompt: str, parts: Mapping[str, int]) -> None:
        """Decide how verdicts are shared over gate, dev and teach."""
        self._call("PUT", f"prompts/{prompt}/parts", json=dict(parts))

    def add_golden_set(self, *, name: str, prompt: str) -> None:
        """A golden set with an empty draft."""
        self._post("golden-sets", {"name": name, "prompt": prompt})

    def import_cases(self, *, golden_set: str, cases: Iterable[Json]) -> None:
        """Put cases into the golden set's draft."""
        lines = b"\n".join(msgspec.json.encode(case) for case in cases)
        path, headers = f"golden-sets/{golden_set}/cases", {"Content-Type": "application/x-ndjson"}
        self._call("POST", path, params={"format": "jsonl"}, content=lines, headers=headers)

    def cut_version(self, *, golden_set: str) -> int:
        """Cut the draft; the version's number."""
        return int(self._post(f"golden-sets/{golden_set}/versions", {})["version"])

    def set_policy(self, *, prompt: str, label: str, golden_set: str, margin: float, looks: int) -> None:
        """Demand from each release that it is not worse than production by `margin` or more."""
        demand = {"golden_set": golden_set, "part": "gate", "scorers": [{"name": "exact_match", "args": {}}]}
        gate = {"kind": "non_inferiority", "margin": margin, "looks": looks}
        self._call("PUT", f"prompts/{prompt}/labels/{label}/policy", json=demand | gate)

    def release_initially(self, *, prompt: str, label: str, revision: int, reason: str) -> None:
        """Point a label that never had a release."""
        body = {"label": label, "revision": revision, "initial": True, "reason": reason}
        self._post(f"prompts/{prompt}/releases", body)

    # --- production ---

    def render(self, *, prompt: str, label: str, text: str, unit: str) -> Json:
        """What to send to the model for this input: revision, messages, model, parameters."""
        body = {"label": label, "variables": {"input": text}, "unit": unit}
        return self._post(f"prompts/{prompt}/render", body)

    def log_outputs(self, outputs: Iterable[Json]) -> Json:
        """Store outputs; how many were accepted, duplicates, rejected."""
        lines = b"\n".join(msgspec.json.encode(output) for output in outputs)
        headers = {"Content-Type": "application/x-ndjson"}
        return self._json(self._call("POST", "outputs", content=lines, headers=headers))

    def log_spans(self, request: Json) -> Json:
        """Store spans as OpenTelemetry sends them; what was not taken stands in `partialSuccess`."""
        return self._json(self._call("POST", f"{self._root}/v1/traces", json=request))

    def log_feedback(self, feedback: Iterable[Json]) -> Json:
        """Store what users said of outputs."""
        return self._post("feedback", list(feedback))

    # --- review ---

    def next_item(self, *, queue: str) -> Json | None:
        """Lease the next item of the queue, or None when there is none."""
        response = self._call("POST", f"queues/{queue}/next")
        return None if response.status_code == HTTPStatus.NO_CONTENT else self._json(response)

    def review(self, item: Json, *, answers: Json, correction: str | None) -> None:
        """Answer the rubric for a leased item."""
        body = {name: item[name] for name in ("lease", "rubric_version")} | {"answers": answers}
        self._post(f"items/{item['id']}/review", body | ({"correction": correction} if correction else {}))

    # --- improvement ---

    def propose_examples(self, *, prompt: str) -> int:
        """Have the corrections made into a candidate; the proposal's id."""
        return int(self._post(f"prompts/{prompt}/proposals", {"kind": "examples"})["id"])

    def proposal(self, proposal: int) -> Json:
        """How far a proposal is."""
        return self._get(f"proposals/{proposal}")

    def run_under_policy(self, *, prompt: str, revision: int, label: str) -> int:
        """Have the workers test a revision as the label's policy demands; the run's id."""
        return self._run({"target": {"prompt": prompt, "revision": revision}, "policy": label})

    def run_of_label(
        self, *, prompt: str, label: str, golden_set: str, version: int, baseline: int | None = None
    ) -> int:
        """Measure what the label points to on the gate cases, perhaps beside an earlier run; the run's id.

        Such a run is evidence for nothing.
        """
        exam = {"golden_set": golden_set, "version": version, "part": "gate"}
        asked = exam | {"scorers": [{"name": "exact_match", "args": {}}]}
        beside = {} if baseline is None else {"baseline": baseline}
        return self._run({"target": {"prompt": prompt, "label": label}} | asked | beside)

    def run(self, run: int) -> Json:
        """How far a run is, with its scores and its gate."""
        return self._get(f"runs/{run}")

    def rows(self, path: str) -> list[Json]:
        """The newest rows of a list, one page of them."""
        found: list[Json] = self._get(path)["results"]
        return found

    def release(self, *, prompt: str, label: str, revision: int, run: int) -> None:
        """Point the label to a revision on the evidence of a run."""
        self._post(f"prompts/{prompt}/releases", {"label": label, "revision": revision, "run": run})

    # --- plumbing ---

    def _run(self, body: Json) -> int:
        return int(self._post("runs", body)["id"])

    def _get(self, path: str) -> Json:
        return self._json(self._call("GET", path))

    def _post(self, path: str, body: Json | list[Json]) -> Json:
        return self._json(self._call("POST", path, json=body))

    def _json(self, response: httpx2.Response) -> Json:
        answer: Json = response.json()
        return answer

    def _call(self, method: str, path: str, **request: Any) -> httpx2.Response:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            response = self._http.request(method, path, **request)
            if response.is_success:
                return response
            pause = float(response.headers.get("Retry-After", "inf"))
            if time.monotonic() + pause > deadline:
                raise Refused(response)
            time.sleep(pause)


def _problem_in(response: httpx2.Response) -> Json:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    return problem if isinstance(problem, dict) else {"detail": response.text[:500]}
