"""Rollups say how many tokens came from a cache and what has no price; every hour that was is reckoned anew."""

from django.db import migrations, models

SUMS = ("cached_input_tokens", "n_uncounted", "unpriced_input_tokens", "unpriced_output_tokens")


class Migration(migrations.Migration):
    dependencies = [("insights", "0002_every_hour_that_was_is_stale"), ("outputs", "0008_costs")]

    operations = [
        *(migrations.AddField("rollup", name, models.BigIntegerField(db_default=0)) for name in SUMS),
        migrations.AddConstraint(
            "rollup",
            models.CheckConstraint(
                condition=models.Q(("n_uncounted__gte", 0), ("n_unpriced__gte", models.F("n_uncounted"))),
                name="rollup_uncounted_within_unpriced",
            ),
        ),
        migrations.RunSQL(
            """
            INSERT INTO insights_stalehour (project_id, hour)
            SELECT DISTINCT project_id, starts_at FROM insights_rollup WHERE grain = 'hour' AND n_unpriced > 0
            """,
            migrations.RunSQL.noop,
        ),
    ]
