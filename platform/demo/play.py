"""Plays the loop through the public API: traffic, reviews, proposal, run, gate, release, again and again."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo import replies
from demo.client import Json, Ratchet, Refused
from demo.model import MODEL
from demo.production import Production
from demo.reviewer import ScriptedReviewer
from demo.scenario import Scenario
from demo.traffic import Message

LABEL = "production"
SCORER = "exact_match"
QUESTION = {"key": "correct", "type": "yes_no", "text": "Is the intent right?", "required": True}
QUALITY = {"question": "correct", "map": {"yes": 1, "no": 0}}
PATIENCE_S = 120.0
PAUSE_S = 0.2
ENDED = {"done", "cancelled", "failed", "invalid"}


@dataclass(frozen=True)
class Site:
    """Where the loop is played.

    Attributes:
        base_url: the site's own address, without a path.
        engineer_key: key with the scopes `ingest`, `read`, `evaluate`, `review`, `release`.
        reviewer_key: key with the scope `review`; the scripted reviewer is who it acts as.
        admin_key: key with the scope `admin`.
        model_url: base URL of the model's endpoint, up to and with `/v1`.
        model_key: bearer key of the model, where it asks for one.
        connection: the name under which the workers know the model.
    """

    base_url: str
    engineer_key: str
    reviewer_key: str
    admin_key: str
    model_url: str
    model_key: str | None = None
    connection: str = "demo"


@dataclass(frozen=True)
class Round:
    """One row of the table: what a round brought, and what became of it; `start` and `end` only measure.

    Figures are the API's, as JSON: `{"value","low","high","level","n","method","reason"}`.
    """

    name: str
    n_outputs: int = 0
    n_reviews: int = 0
    accuracy: Json | None = None
    difference: Json | None = None
    verdict: str | None = None
    revision: int | None = None
    run: int | None = None
    is_released: bool = False
    outcome: str = ""


def play(site: Site, scenarios: Sequence[Scenario], console: Console) -> list[list[Round]]:
    """Connect the model and play the scenarios, one table each; the rounds of each.

    Raises:
        client.Refused: when the API refuses something other than a release.
        TimeoutError: when the site's workers do not move for two minutes.
    """
    connect_model(site)
    return [show(scenario, site, console) for scenario in scenarios]


def connect_model(site: Site) -> None:
    """Make the demo's model known to the workers."""
    with closing(Ratchet(site.base_url, site.admin_key)) as admin:
        secret = site.model_key or "not-needed"
        admin.add_connection(name=site.connection, base_url=site.model_url, secret=secret, concurrency=8)


def leave_replies(site: Site) -> int:
    """Log the replies that wait for a person to judge them, with what customers said; how many there are.

    A repeat stores nothing again.
    """
    name = replies.PROMPT
    keys = (site.engineer_key, site.admin_key)
    with closing(Ratchet(site.base_url, keys[0])) as engineer, closing(Ratchet(site.base_url, keys[1])) as admin:
        admin.add_prompt(name=name, description="Answers customers from the passages that were found.")
        engineer.add_revision(prompt=name, system=replies.SYSTEM, examples=[], model=f"{site.connection}/{MODEL}", k=1)
        admin.add_rubric(name=name, questions=replies.QUESTIONS, quality=replies.QUALITY)
        admin.add_queue(name=name, rubric=name)
        admin.add_rule(queue=name, prompt=name, rate=1.0)
        for request in replies.traces():
            engineer.log_spans(request)
        engineer.log_feedback(replies.feedback())
    return len(replies.TICKETS)


def show(scenario: Scenario, site: Site, console: Console) -> list[Round]:
    """Play one scenario while its table grows."""
    corrected = "permuted on purpose" if scenario.permute else "by the answer key"
    title = f"{scenario.prompt} (scripted reviewer, corrections {corrected}, {scenario.error_rate:.0%} wrong)"
    table = Table("round", "reviews", "golden accuracy", "difference", "verdict", "outcome", title=title)
    rounds = []
    with closing(Player(scenario, site)) as player, Live(table, console=console, auto_refresh=False) as live:
        for played in player.play():
            rounds.append(played)
            table.add_row(*cells(played))
            live.refresh()
    console.print()
    return rounds


def cells(played: Round) -> list[str]:
    """One round as the text of a row."""
    return [
        played.name,
        str(played.n_reviews),
        shown(played.accuracy),
        shown(played.difference, sign="+"),
        played.verdict or "—",
        played.outcome,
    ]


def shown(figure: Json | None, sign: str = "") -> str:
    """A figure with its interval and its n, or the reason why there is none."""
    if figure is None:
        return "—"
    if figure["value"] is None:
        return f"— ({figure['reason']})"
    interval = f" [{figure['low']:{sign}.2f}, {figure['high']:{sign}.2f}]" if figure["low"] is not None else ""
    level = f" at {figure['level']:.1%}" if interval and figure["level"] != 0.95 else ""
    return f"{figure['value']:{sign}.3f}{interval}{level} n={figure['n']}"


class Player:
    """Plays one scenario; `play` is everything, its steps are there for tests that look closer."""

    def __init__(self, scenario: Scenario, site: Site) -> None:
        self.scenario, self.site = scenario, site
        self._open = ExitStack()
        keys = (site.engineer_key, site.reviewer_key, site.admin_key)
        clients = (self._open.enter_context(closing(Ratchet(site.base_url, key))) for key in keys)
        self.engineer, self.as_reviewer, self.admin = clients
        self.production = Production(self.engineer, site.model_url, site.model_key, scenario.prompt, LABEL)
        self.reviewer = ScriptedReviewer(
            self.as_reviewer,
            queue=scenario.prompt,
            answer_key=scenario.answer_key(),
            error_rate=scenario.error_rate,
            seed=scenario.seed,
            permute=scenario.permute,
        )

    def close(self) -> None:
        """Give the connections back."""
        self._open.close()

    def play(self) -> Iterator[Round]:
        """Set up, measure the start, play every round, measure the end; one row each."""
        version = self.prepare()
        yield (start := self.measure_start(version))
        for number, messages in enumerate(self.scenario.rounds, start=1):
            yield self.play_round(str(number), messages)
        yield self.measure_end(version, start)

    # --- set-up ---

    def prepare(self) -> int:
        """Create rubric, queue, rule, prompt, golden set and policy, and release the first revision.

        Returns the golden set's version.
        """
        name = self.scenario.prompt
        self.admin.add_prompt(name=name, description="Finds the intent of a support message.")
        self.admin.set_parts(prompt=name, parts=self.scenario.parts)
        self._prepare_queue(name)
        version = self._prepare_golden_set(name)
        self._release_first_revision(name)
        return version

    def _prepare_queue(self, name: str) -> None:
        self.admin.add_rubric(name=name, questions=[QUESTION], quality=QUALITY)
        self.admin.add_queue(name=name, rubric=name)
        self.admin.add_rule(queue=name, prompt=name, rate=1.0)

    def _prepare_golden_set(self, name: str) -> int:
        self.admin.add_golden_set(name=name, prompt=name)
        cases = self.scenario.golden_cases
        self.admin.import_cases(golden_set=name, cases=[_case(at, case) for at, case in enumerate(cases)])
        version = self.admin.cut_version(golden_set=name)
        margin, looks = self.scenario.margin, self.scenario.looks
        self.admin.set_policy(prompt=name, label=LABEL, golden_set=name, margin=margin, looks=looks)
        return version

    def _release_first_revision(self, name: str) -> None:
        revision = self.engineer.add_revision(
            prompt=name,
            system=self.scenario.system,
            examples=[_example(message) for message in self.scenario.seed_examples],
            model=f"{self.site.connection}/{MODEL}",
            k=self.scenario.k,
        )
        reason = "The first revision: one example per intent."
        self.engineer.release_initially(prompt=name, label=LABEL, revision=revision, reason=reason)

    # --- before and after ---

    def measure_start(self, version: int) -> Round:
        """The accuracy of the first revision on the exam."""
        run = self._measure(version)
        return Round("start", accuracy=_accuracy(run), run=run["id"], outcome="initial release")

    def measure_end(self, version: int, start: Round) -> Round:
        """The accuracy of what is in production now, and its difference to the start on the same cases."""
        run = self._measure(version, baseline=start.run)
        difference = run["gate"]["difference"]
        return Round("end", accuracy=_accuracy(run), difference=difference, run=run["id"], outcome="beside start")

    def _measure(self, version: int, baseline: int | None = None) -> Json:
        name = self.scenario.prompt
        return self._finished_run(
            self.engineer.run_of_label(prompt=name, label=LABEL, golden_set=name, version=version, baseline=baseline)
        )

    # --- one round ---

    def play_round(self, name: str, messages: Sequence[Message]) -> Round:
        """Traffic, reviews, a proposal, its run, and the attempt to release it."""
        texts = [message.text for message in messages]
        n_outputs = self.production.answer_all(texts, name=f"round-{name}")
        n_reviews = self.review(n_outputs)
        proposal = self.propose()
        if proposal["state"] != "ready":
            return Round(name, n_outputs, n_reviews, outcome=f"no proposal: {proposal['reason']}")
        run = self.test(proposal["revision"])
        is_released, outcome = self.release(proposal["revision"], run["id"])
        return Round(
            name,
            n_outputs,
            n_reviews,
            accuracy=_accuracy(run),
            difference=run["gate"]["difference"],
            verdict=run["gate"]["verdict"],
            revision=proposal["revision"],
            run=run["id"],
            is_released=is_released,
            outcome=outcome,
        )

    def review(self, n_outputs: int) -> int:
        """Review until every output of the round has been; each is drawn, for the rule's rate is 1."""
        n_reviews, moved_at = 0, time.monotonic()
        while n_reviews < n_outputs:
            if n_new := self.reviewer.review_all():
                n_reviews, moved_at = n_reviews + n_new, time.monotonic()
            elif time.monotonic() - moved_at > PATIENCE_S:
                raise TimeoutError(f"{self.reviewer.queue}: {n_reviews} of {n_outputs} outputs came to review")
            else:
                time.sleep(PAUSE_S)
        return n_reviews

    def propose(self) -> Json:
        """A proposal made of the corrections, ready or failed."""
        proposal = self.engineer.propose_examples(prompt=self.scenario.prompt)
        return wait_for(lambda: self.engineer.proposal(proposal), {"ready", "failed"})

    def test(self, revision: int) -> Json:
        """A finished run of a revision under the label's policy."""
        return self._finished_run(
            self.engineer.run_under_policy(prompt=self.scenario.prompt, revision=revision, label=LABEL)
        )

    def release(self, revision: int, run: int) -> tuple[bool, str]:
        """Ask for the release whatever the verdict; whether it was granted, and what came of it in words."""
        try:
            self.engineer.release(prompt=self.scenario.prompt, label=LABEL, revision=revision, run=run)
        except Refused as refused:
            return False, f"refused: {refused.reason}"
        return True, f"revision {revision} released"

    def _finished_run(self, run: int) -> Json:
        return wait_for(lambda: self.engineer.run(run), ENDED)


def _case(at: int, case: Message) -> Json:
    return {"id": f"case-{at:04}", "input": case.text, "expected": case.intent, "part": "gate"}


def _example(message: Message) -> Json:
    return {"kind": "example", "input": message.text, "output": message.intent}


def _accuracy(run: Json) -> Json | None:
    figure: Json | None = run["scores"].get(SCORER)
    return figure


def wait_for(ask: Callable[[], Json], states: set[str]) -> Json:
    """Ask until the answer's state is one of these.

    Raises:
        TimeoutError: two minutes went by.
    """
    deadline = time.monotonic() + PATIENCE_S
    while (answer := ask())["state"] not in states:
        if time.monotonic() > deadline:
            raise TimeoutError(f"still {answer['state']!r} after {PATIENCE_S:.0f} s: {answer}")
        time.sleep(PAUSE_S)
    return answer
