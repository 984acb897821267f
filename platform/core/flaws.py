"""What a service found wrong, shown beside the fields of a form."""

from django import forms

from core.problems import Problem


def add_to(form: forms.BaseForm, problem: Problem) -> None:
    """Each error stands at its field (`questions[2].text` at `questions`), else above the form.

    The form keeps what was typed; show it again with status 422.
    """
    for flaw in problem.errors:
        name = flaw.field.split(".")[0].split("[")[0]
        said = flaw.message if flaw.field == name else f"{flaw.field} {flaw.message}"
        form.add_error(name if name in form.fields else None, said if name in form.fields else f"{flaw.field} {said}")
    if not problem.errors:
        form.add_error(None, problem.detail)
