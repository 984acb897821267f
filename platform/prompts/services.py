"""Every write of `prompts`: prompts, revisions with their context and index, and where labels point."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from core.problems import FieldError, Invalid
from core.similarity import tfidf
from projects.access import Actor
from projects.services import audit
from prompts import names, retrieval
from prompts.content import Content, ContextLine, Kind, Strategy
from prompts.models import ContextItem, Label, Prompt, Revision, RevisionContext, RevisionIndex

# More examples than these are indexed by a worker, not by whoever saves the revision.
MOST_INDEXED_AT_ONCE = 2_000
LONGEST_DESCRIPTION = 20_000
LONGEST_NOTE = 20_000
BATCH = 5_000


def create_prompt(*, name: str, description: str = "", by: Actor, now: dt.datetime) -> tuple[Prompt, bool]:
    """There is a prompt of this name in the actor's project; says whether it is new.

    A repeat finds the same prompt and changes nothing, its description neither.

    Raises:
        Invalid: the name cannot stand in an address, or a text is too long.
    """
    names.check("name", name, names.LONGEST_PROMPT)
    _check_length("description", description, LONGEST_DESCRIPTION)
    with transaction.atomic():
        prompt, created = Prompt.objects.get_or_create(
            project=by.project, name=name, defaults={"description": description, "created_by": by.name}
        )
        if created:
            audit.record(by=by, verb="prompt.create", subject=f"prompt {name}", now=now)
    return prompt, created


def create_revision(
    *,
    prompt: Prompt,
    messages: Sequence[Mapping[str, str]],
    model: str,
    by: Actor,
    now: dt.datetime,
    parameters: Mapping[str, Any] | None = None,
    context: Sequence[ContextLine] = (),
    strategy: str = Strategy.ALL,
    k: int | None = None,
    note: str = "",
    parent: Revision | None = None,
) -> tuple[Revision, bool]:
    """There is a revision of this prompt with exactly this content; says whether it is new.

    The same content is the same revision, whoever sends it and how often; note and parent are then those of
    the first time. Numbers count up from 1 without gaps. Up to `MOST_INDEXED_AT_ONCE` examples are indexed
    here; a larger revision waits for `prompts.tasks.build_index`, which the caller rings for.

    Args:
        messages: `{"role", "content"}` in order; contents are templates.
        model: `connection/model`, or a model of the default connection.
        parameters: sent with every call.
        context: in order; equal lines of the prompt share one row.
        strategy: `all`, or `similar` with `k` examples chosen for each input (lessons and facts always
            stand).
        parent: what it was made from; the newest revision where nothing is said.

    Raises:
        Invalid: naming each field that is wrong.
    """
    content = Content(messages, model, parameters or {}, tuple(context), strategy, k)
    content.check()
    _check_length("note", note, LONGEST_NOTE)
    if parent is not None and parent.prompt_id != prompt.pk:
        raise Invalid(FieldError("parent", "belongs to another prompt"))
    found = prompt.revisions.filter(content_hash=content.hash).first()
    if found is not None:
        return found, False
    # Before the lock, which other writers of this prompt wait for.
    postings = _postings_at_once(content)
    with transaction.atomic():
        Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)
        found = prompt.revisions.filter(content_hash=content.hash).first()
        if found is not None:
            return found, False
        revision = _insert(prompt, content, note=note, parent=parent, ready=postings is not None, by=by)
        if postings is not None:
            RevisionIndex.objects.create(revision=revision, postings=postings, built_at=now)
    return revision, True


def set_parts(*, prompt: Prompt, gate: int, dev: int, teach: int, by: Actor, now: dt.datetime) -> Prompt:
    """New groups of verdicts of this prompt are split in these shares (percent); others keep their part.

    Raises:
        Invalid: a share is outside 0 to 100, or they do not make 100.
    """
    shares = {"gate": gate, "dev": dev, "teach": teach}
    for name, share in shares.items():
        if not 0 <= share <= 100:
            raise Invalid(FieldError(name, f"is {share}; give a share from 0 to 100 percent"))
    if sum(shares.values()) != 100:
        raise Invalid(FieldError("teach", f"gate, dev and teach make {sum(shares.values())}; they must make 100"))
    with transaction.atomic():
        locked = Prompt.objects.select_for_update(no_key=True).get(pk=prompt.pk)
        before = {"gate": locked.gate_share, "dev": locked.dev_share, "teach": locked.teach_share}
        if before != shares:
            locked.gate_share, locked.dev_share, locked.teach_share = gate, dev, teach
            locked.save(update_fields=["gate_share", "dev_share", "teach_share"])
            subject = f"prompt {locked.name}"
            audit.record(by=by, verb="prompt.parts", subject=subject, now=now, before=before, after=shares)
    return locked


def label_named(*, prompt: Prompt, name: str) -> Label:
    """The label of this name, made where it does not exist; a new one points nowhere.

    Raises:
        Invalid: the name cannot stand in an address.
    """
    names.check("label", name, names.LONGEST_LABEL)
    return Label.objects.get_or_create(prompt=prompt, name=name)[0]


def point_label(*, label: Label, revision: Revision, now: dt.datetime) -> Label:
    """The label points at this revision: the only writer of that. A repeat changes the moment alone.

    For `releases`, which holds the label's lock, has its reason, and writes the release and the audit event
    in the same transaction.

    Raises:
        Invalid: the revision belongs to another prompt.
    """
    if revision.prompt_id != label.prompt_id:
        raise Invalid(FieldError("revision", f"{revision.number} belongs to another prompt than label {label.name!r}"))
    label.revision, label.pointed_at = revision, now
    label.save(update_fields=["revision", "pointed_at"])
    return label


def build_index(*, revision_id: int, now: dt.datetime) -> bool:
    """The revision's examples are indexed; says whether this call did it.

    A repeat, or a second worker at the same time, finds nothing to do.
    """
    with transaction.atomic():
        revision = (
            Revision.objects.select_for_update(skip_locked=True, no_key=True, of=("self",))
            .filter(pk=revision_id, index_state=Revision.IndexState.WAITING)
            .first()
        )
        if revision is None:
            return False
        examples = retrieval.examples_of(retrieval.context_of(revision))
        postings = tfidf.build([line.content.input for line in examples]).to_bytes()
        RevisionIndex.objects.update_or_create(revision=revision, defaults={"postings": postings, "built_at": now})
        revision.index_state = Revision.IndexState.READY
        revision.save(update_fields=["index_state"])
    return True


# --- a revision's rows --------------------------------------------------------------------------------------


def _postings_at_once(content: Content) -> bytes | None:
    """The index of a revision that needs one and is small enough, else None."""
    texts = _indexed_texts(content)
    return tfidf.build(texts).to_bytes() if 0 < len(texts) <= MOST_INDEXED_AT_ONCE else None


def _indexed_texts(content: Content) -> list[str]:
    if content.strategy != Strategy.SIMILAR:
        return []
    return [line.input for line in content.context if line.kind == Kind.EXAMPLE]


def _insert(
    prompt: Prompt, content: Content, *, note: str, parent: Revision | None, ready: bool, by: Actor
) -> Revision:
    newest = prompt.revisions.order_by("-number").first()
    revision = Revision.objects.create(
        prompt=prompt,
        number=1 if newest is None else newest.number + 1,
        content_hash=content.hash,
        parent=parent or newest,
        messages=[{"role": message["role"], "content": message["content"]} for message in content.messages],
        model=content.model,
        parameters=dict(content.parameters),
        strategy=content.strategy,
        k=content.k,
        n_context=len(content.context),
        index_state=_index_state(content, ready),
        note=note,
        created_by=by.name,
    )
    ids = _item_ids(prompt, dict(zip(content.line_hashes, content.context, strict=True)))
    RevisionContext.objects.bulk_create(
        [
            RevisionContext(revision=revision, item_id=ids[line_hash], position=position)
            for position, line_hash in enumerate(content.line_hashes)
        ],
        batch_size=BATCH,
    )
    return revision


def _index_state(content: Content, ready: bool) -> str:
    if ready:
        return Revision.IndexState.READY
    return Revision.IndexState.WAITING if _indexed_texts(content) else Revision.IndexState.NONE


def _item_ids(prompt: Prompt, lines: Mapping[str, ContextLine]) -> dict[str, int]:
    """The rows of these lines by hash; those that are new are inserted. Under the prompt's lock."""
    if not lines:
        return {}
    held = ContextItem.objects.filter(prompt=prompt, content_hash__in=list(lines))
    ids = dict(held.values_list("content_hash", "pk"))
    made = ContextItem.objects.bulk_create(
        [_item(prompt, line_hash, line) for line_hash, line in lines.items() if line_hash not in ids],
        batch_size=BATCH,
    )
    return ids | {item.content_hash: item.pk for item in made}


def _item(prompt: Prompt, line_hash: str, line: ContextLine) -> ContextItem:
    return ContextItem(
        prompt=prompt,
        content_hash=line_hash,
        kind=line.kind,
        input=line.input,
        output=line.output,
        text=line.text,
        tags=sorted(line.tags),
    )


def _check_length(field: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise Invalid(FieldError(field, f"has {len(text)} characters; at most {longest} are taken"))
