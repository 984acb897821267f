"""Which endpoint answers for a model."""

from dataclasses import dataclass, field

from django.conf import settings

from connections import addresses
from connections.models import Connection
from core import sealing
from core.problems import FieldError, Unprocessable

OPENAI = "https://api.openai.com/v1"
DEFAULT_CONCURRENCY = 20


class NoConnection(Unprocessable):
    """Nothing answers for this model: it names no connection, and there is no default one."""

    def __init__(self, model: str) -> None:
        said = (
            f"{model[:200]!r} names no connection of this project and there is no default one;"
            " add a connection and write connection/model, or set OPENAI_BASE_URL (and OPENAI_API_KEY)"
        )
        super().__init__(said, FieldError("model", said))


@dataclass(frozen=True)
class Endpoint:
    """Everything a call of a model needs. No secret is in its `repr`, nor in memory before it is asked for.

    Attributes:
        connection_id: the project's own connection; None for the default one.
        base_url: without a slash at the end; `/chat/completions` is added.
        model: the name as the endpoint knows it.
        concurrency: calls at once, over all processes.
        allowance_key: the `ledger.Allowance` that counts them.
        identity: what of this decides an answer (never the secret); it enters the hashes of work.
    """

    connection_id: int | None
    base_url: str
    model: str
    concurrency: int
    allowance_key: str
    identity: str
    _sealed: bytes | None = field(default=None, repr=False)

    def secret(self) -> str | None:
        """The key to send, or None where there is none.

        Raises:
            SealBroken: it was saved for another host, or with a key that is gone.
        """
        if self._sealed is not None:
            return sealing.unseal(self._sealed, bound_to=addresses.origin(self.base_url))
        return settings.OPENAI_API_KEY or None if self.connection_id is None else None


def resolve(project_id: int, model: str) -> Endpoint:
    """The endpoint of a revision's `model`, in one statement: `connection/model`, else the default one.

    A first part that is no connection of the project belongs to the model's name (`meta-llama/Llama-3.1-8B`).

    Raises:
        NoConnection: there is neither, saying what to do.
    """
    name, slash, rest = model.partition("/")
    connection = Connection.objects.of(project_id).filter(name=name).first() if slash and rest else None
    return _default(model) if connection is None else _own(connection, rest)


def allowance_key(connection_id: int) -> str:
    """The name of the limit that all callers of a connection share."""
    return f"connection:{connection_id}"


def _own(connection: Connection, model: str) -> Endpoint:
    return Endpoint(
        connection_id=connection.pk,
        base_url=connection.base_url,
        model=model,
        concurrency=connection.concurrency,
        allowance_key=allowance_key(connection.pk),
        identity=_identity(connection.base_url, model),
        _sealed=None if connection.secret_sealed is None else bytes(connection.secret_sealed),
    )


def _default(model: str) -> Endpoint:
    base_url = (settings.OPENAI_BASE_URL or (OPENAI if settings.OPENAI_API_KEY else "")).rstrip("/")
    if not base_url:
        raise NoConnection(model)
    return Endpoint(
        connection_id=None,
        base_url=base_url,
        model=model,
        concurrency=DEFAULT_CONCURRENCY,
        allowance_key="connection:default",
        identity=_identity(base_url, model),
    )


def _identity(base_url: str, model: str) -> str:
    return f"openai {base_url} {model}"
