"""What people fill in to import a file."""

from collections.abc import Mapping
from typing import Any

from django import forms

from outputs import importers
from outputs.importers import columns
from outputs.models import Import

BY_ENDING = ""
METADATA = "metadata"


class FileForm(forms.Form):
    """A file, what it is, and what its rows are."""

    file = forms.FileField(label="File", help_text="JSON Lines, CSV, Parquet, or an export of Langfuse.")
    format = forms.ChoiceField(label="Format", required=False)
    kind = forms.ChoiceField(label="Rows are", choices=[("outputs", "outputs"), ("feedback", "feedback on outputs")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(name, importer.about) for name, importer in importers.known().items()]
        field = self.fields["format"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 # declared above
        field.choices = [(BY_ENDING, "as the file's name says"), *choices]
        endings = [f".{ending}" for importer in importers.known().values() for ending in importer.endings]
        self.fields["file"].widget.attrs["accept"] = ",".join([*endings, ".json"])

    def format_of(self, name: str) -> str:
        """The format that was chosen, or that the file's name says; a .json file is an export of Langfuse."""
        chosen = self.cleaned_data["format"] or importers.by_ending(name)
        return chosen or ("langfuse" if name.lower().endswith(".json") else "")


def target_choices(kind: str) -> list[tuple[str, str]]:
    """What a column may mean, in words."""
    fields = [(name, name) for name in columns.targets(kind) if name not in (columns.SECONDS, METADATA)]
    if kind == Import.Kind.FEEDBACK:
        return [*fields, (columns.LEFT_OUT, "left out")]
    return [
        *fields,
        (columns.SECONDS, "latency in seconds"),
        ("metadata", "metadata: the object itself"),
        (columns.METADATA, "kept as metadata"),
        (columns.LEFT_OUT, "left out"),
    ]


def mapping_of(said: Mapping[str, str], names: list[str]) -> dict[str, str] | None:
    """The mapping that a form says, by the places of the columns; None where it says nothing."""
    if "target-0" not in said:
        return None
    mapping = {}
    for place, name in enumerate(names):
        target = said.get(f"target-{place}", columns.LEFT_OUT)
        mapping[name] = f"{columns.METADATA}{name}" if target == columns.METADATA else target
    return mapping
