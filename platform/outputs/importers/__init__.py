"""Files as rows, and rows as records: one small module for each format, found by the name it gives itself.

A new format is one new module here with an `IMPORTER`; nothing else is touched.
"""

import importlib
import pkgutil
from functools import cache

from core.problems import FieldError, Invalid
from outputs.importers.protocol import Importer


@cache
def known() -> dict[str, Importer]:
    """Every importer by its name."""
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    found = [module.IMPORTER for module in modules if hasattr(module, "IMPORTER")]
    return {importer.name: importer for importer in sorted(found, key=lambda importer: str(importer.name))}


def names() -> list[str]:
    return list(known())


def named(name: str) -> Importer:
    """The importer of this format.

    Raises:
        Invalid: there is none.
    """
    if name not in known():
        said = f"is {name[:40]!r}" if name else "is missing"
        raise Invalid(FieldError("format", f"{said}; formats taken: {', '.join(known())}"))
    return known()[name]


def by_ending(name: str) -> str:
    """The format that a file's name says, or ""."""
    ending = name.lower().rpartition(".")[2]
    return next((importer.name for importer in known().values() if ending in importer.endings), "")
