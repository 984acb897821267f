"""A revision of a prompt, rendered for each case and asked of its model: exactly what production would do."""

import time
from dataclasses import dataclass

import httpx2

from connections import chat
from connections.queries import Endpoint
from core.problems import Problem
from evals.targets import Answer, Question
from prompts.rendering import Rendered, Serving
from prompts.variables import NoInput


@dataclass(frozen=True)
class PromptTarget:
    """Renders and asks; one call per answer.

    Args:
        serving: the revision.
        endpoint: of the model.
        client: from `core.outbound.client`, shared by all calls of one event loop.
    """

    serving: Serving
    endpoint: Endpoint
    client: httpx2.AsyncClient

    async def answer(self, question: Question) -> Answer:
        """The model's answer; a case that cannot be rendered costs no call."""
        try:
            rendered = self.serving.render_input(question.input, question.variables)
        except (Problem, NoInput) as problem:
            return Answer(text=None, error=f"cannot be rendered: {problem}", n_calls=0)
        return await self._asked(rendered, question.key)

    async def _asked(self, rendered: Rendered, key: str) -> Answer:
        began = time.perf_counter()
        try:
            completion = await chat.complete(
                self.client, self.endpoint, rendered.messages, rendered.parameters, idempotency_key=key
            )
        except chat.ModelError as error:
            return Answer(
                text=None,
                error=f"{error.kind}: {error.message}",
                n_calls=0 if isinstance(error, chat.Refused) else 1,
                is_retryable=error.retryable,
                retry_after=error.retry_after,
                latency_ms=_ms_since(began),
            )
        return Answer(
            text=completion.text,
            latency_ms=_ms_since(began),
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            context_ids=tuple(rendered.context_ids),
        )


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
