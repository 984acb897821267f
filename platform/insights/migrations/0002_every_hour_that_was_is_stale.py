"""What arrived before this room existed is reckoned like the rest: every hour that has outputs is stale once."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("insights", "0001_what_is_kept_for_trends"), ("outputs", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            INSERT INTO insights_stalehour (project_id, hour)
            SELECT project_id, date_trunc('hour', received_at, 'UTC') AS hour FROM outputs_output
            GROUP BY project_id, hour ORDER BY hour DESC
            """,
            migrations.RunSQL.noop,
        )
    ]
