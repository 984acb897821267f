"""Words that outputs are found by, and hand-overs so that a worker looks at those that are there already."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

# In blocks: one that cannot be used is parked with a thousand outputs, not with all.
BACKFILL = """
INSERT INTO ledger_handover (consumer, topic, project_id, ids)
SELECT 'outputs.search', 'outputs.stored', project_id, array_agg(id ORDER BY id)
FROM (
    SELECT id, project_id, row_number() OVER (PARTITION BY project_id ORDER BY id) / 1000 AS block FROM outputs_output
) AS there
GROUP BY project_id, block
ORDER BY max(id) DESC
"""


class Migration(migrations.Migration):
    dependencies = [
        ("outputs", "0002_bodies"),
        ("ledger", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="SearchText",
            fields=[
                (
                    "output",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search_text",
                        serialize=False,
                        to="outputs.output",
                    ),
                ),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                "indexes": [django.contrib.postgres.indexes.GinIndex(fields=["words"], name="search_text_words")],
            },
        ),
        migrations.RunSQL(
            BACKFILL,
            "DELETE FROM ledger_handover WHERE consumer = 'outputs.search'",
        ),
    ]
