"""Edges are thin: views, APIs, tasks and commands translate; rows are written by services."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WRITES = {"save", "create", "bulk_create", "bulk_update", "update", "delete", "get_or_create", "update_or_create"}
# Their presence is all it takes, and their docstrings say so.
HOOKS = {"wait_until_ready", "_leave_logging_to_django"}
SOURCES = [
    path
    for top in ("platform", "reviews", "evals")
    for path in (ROOT / top).rglob("*.py")
    if "migrations" not in path.parts
]
EDGES = [
    path
    for path in SOURCES
    if path.name in {"views.py", "api.py", "tasks.py"} or "commands" in path.parts or path.parent.name == "api"
]


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))


def is_row_write(call: ast.Call) -> bool:
    """A write through the ORM: `X.objects….create()`, `row.save()`; not `a_dict.update()`."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in WRITES:
        return False
    chain = ast.unparse(call.func.value)
    return ".objects" in chain or call.func.attr in {"save", "bulk_create", "get_or_create", "update_or_create"}


@pytest.mark.parametrize("path", EDGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_edges_write_no_rows(path: Path) -> None:
    found = [f"line {call.lineno}: {ast.unparse(call)[:80]}" for call in calls(path) if is_row_write(call)]
    assert not found, f"move these writes into services: {found}"


def test_the_walk_would_notice_a_write() -> None:
    tree = ast.parse("def view(r):\n    Prompt.objects.of(1).create(name='x')\n    row.save()\n    seen.update(a=1)")
    assert [is_row_write(node) for node in ast.walk(tree) if isinstance(node, ast.Call)].count(True) == 2


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_stub_stands_on_a_reachable_path(path: Path) -> None:
    text = path.read_text()
    for word in ("NotImplemented", "TODO", "FIXME", "XXX"):
        assert word not in text, f"{word} in {path.relative_to(ROOT)}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not in_protocol(text, node):
            body = [line for line in node.body if not is_docstring(line)]
            does_something = body and not all(is_ellipsis(line) for line in body)
            assert node.name in HOOKS or does_something, f"{node.name} does nothing"


def is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_ellipsis(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and node.value.value is ...


def in_protocol(text: str, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Methods of a Protocol have no body, by their nature."""
    classes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef))
    protocols = (node for node in classes if any("Protocol" in ast.unparse(base) for base in node.bases))
    return any(inner.lineno == function.lineno for protocol in protocols for inner in protocol.body)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("mark_safe", "text received is data, never markup"),
        ("|safe", "text received is data, never markup"),
        (".format_map(", "templates are logic-less"),
        ("acks_late=True", "bells are acknowledged early: rows are the truth"),
    ],
)
def test_nobody_writes(pattern: str, why: str) -> None:
    templates = list((ROOT / "templates").rglob("*.html"))
    found = [str(path.relative_to(ROOT)) for path in [*SOURCES, *templates] if pattern in path.read_text()]
    assert not found, why


def test_http_goes_out_through_one_gate() -> None:
    allowed = {ROOT / "platform/core/outbound.py"}
    users = [
        path
        for path in SOURCES
        if path not in allowed and "demo" not in path.parts and "launcher" not in path.parts
        for call in calls(path)
        if ast.unparse(call.func) in {"httpx2.Client", "httpx2.AsyncClient", "httpx2.get", "httpx2.post", "urlopen"}
    ]
    assert not users, "use core.outbound: it decides at connect time where a request may go"
