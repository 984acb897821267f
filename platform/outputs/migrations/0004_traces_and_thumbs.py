"""Indexes that find a trace and the outputs with a thumb, made while outputs go on arriving."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("outputs", "0003_search_text")]

    operations = [
        AddIndexConcurrently(
            model_name="output",
            index=models.Index(
                condition=models.Q(("trace_id", ""), _negated=True),
                fields=["project", "trace_id", "id"],
                name="output_by_trace",
            ),
        ),
        AddIndexConcurrently(
            model_name="feedback",
            index=models.Index(condition=models.Q(("kind", "thumb")), fields=["project", "id"], name="feedback_thumbs"),
        ),
    ]
