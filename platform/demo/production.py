"""The demo's production system: it asks for the prompt, calls the model itself, and logs what came out."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

import httpx2

from demo.client import Json, Ratchet

BATCH = 50
WIDTH = 8


@dataclass(frozen=True)
class Production:
    """A product that answers its users with the prompt under a label.

    Attributes:
        ratchet: the API, with a key of scopes `read` and `ingest`.
        model_url: base URL of the model's endpoint, up to and with `/v1`.
        model_key: bearer key of the model, where it asks for one.
        prompt: name of the prompt.
        label: the label it serves.
    """

    ratchet: Ratchet
    model_url: str
    model_key: str | None
    prompt: str
    label: str = "production"

    def answer_all(self, texts: Sequence[str], *, name: str) -> int:
        """Answer the texts, a few at a time, and log the outputs; the number of outputs that are stored.

        Repeated under the same `name`, nothing is stored again while the model answers alike.

        Raises:
            client.Refused: when the API refuses to render or to store.
            RuntimeError: when it rejects a single output.
            httpx2.HTTPError: when the model does not answer.
        """
        ids = [f"{self.prompt}-{name}-{place:04}" for place in range(len(texts))]
        headers = {"Authorization": f"Bearer {self.model_key}"} if self.model_key else {}
        with (
            httpx2.Client(base_url=f"{self.model_url.rstrip('/')}/", headers=headers, timeout=30) as model,
            ThreadPoolExecutor(WIDTH) as pool,
        ):
            outputs = list(pool.map(lambda text, key: self._answer(model, text, key), texts, ids))
        return self._log(outputs)

    def _answer(self, model: httpx2.Client, text: str, key: str) -> Json:
        rendered = self.ratchet.render(prompt=self.prompt, label=self.label, text=text, unit=key)
        started_at, started = datetime.now(UTC), time.perf_counter()
        # A revision names `connection/model`; the provider knows the second half.
        request = {"model": rendered["model"].rpartition("/")[2], "messages": rendered["messages"]}
        response = model.post("chat/completions", json=rendered["parameters"] | request).raise_for_status()
        completion = response.json()
        return {
            "id": key,
            "prompt": self.prompt,
            "revision": rendered["revision"],
            "model": completion["model"],
            "provider": "ratchet-demo",
            "input": text,
            "output": completion["choices"][0]["message"]["content"],
            "started_at": started_at.isoformat(),
            "latency_ms": round((time.perf_counter() - started) * 1000),
            "input_tokens": completion["usage"]["prompt_tokens"],
            "output_tokens": completion["usage"]["completion_tokens"],
        }

    def _log(self, outputs: Sequence[Json]) -> int:
        waiting, stored = iter(outputs), 0
        while batch := list(islice(waiting, BATCH)):
            answer = self.ratchet.log_outputs(batch)
            if answer["rejected"]:
                raise RuntimeError(f"outputs of {self.prompt}: rejected were {answer['rejected']}")
            stored += answer["accepted"] + answer["duplicates"]
        return stored
