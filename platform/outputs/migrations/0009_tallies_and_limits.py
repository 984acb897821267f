"""What arrived by whom and what became of it, and how much a project may send."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outputs", "0008_costs"),
        ("ledger", "0002_rate_buckets"),
        ("projects", "0004_how_pages_suit_a_person"),
    ]

    operations = [
        migrations.CreateModel(
            name="IngestLimit",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rows_per_second", models.IntegerField(null=True)),
                ("burst_rows", models.IntegerField(null=True)),
                ("bytes_per_second", models.BigIntegerField(null=True)),
                ("rows_per_month", models.BigIntegerField(null=True)),
                ("changed_at", models.DateTimeField()),
                ("changed_by", models.CharField(max_length=300)),
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="ingest_limit",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("rows_per_second", None), ("rows_per_second__gte", 1), _connector="OR"),
                        name="ingest_limit_rows_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("bytes_per_second", None), ("bytes_per_second__gte", 1), _connector="OR"),
                        name="ingest_limit_bytes_positive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("rows_per_month", None), ("rows_per_month__gte", 0), _connector="OR"),
                        name="ingest_limit_month_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("burst_rows", None),
                            models.Q(("burst_rows__gte", 1), ("rows_per_second__isnull", False)),
                            _connector="OR",
                        ),
                        name="ingest_limit_burst_of_a_rate",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Tally",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "grain",
                    models.SmallIntegerField(
                        choices=[(0, "Moment"), (1, "Minute"), (2, "Hour"), (3, "Day"), (4, "Ever")], default=0
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
                ("sender", models.CharField(max_length=300)),
                ("route", models.CharField(max_length=60)),
                ("instrument", models.CharField(blank=True, max_length=60)),
                ("n_requests", models.BigIntegerField(default=0)),
                ("accepted", models.BigIntegerField(default=0)),
                ("duplicates", models.BigIntegerField(default=0)),
                ("rejected", models.BigIntegerField(default=0)),
                ("refused", models.BigIntegerField(default=0)),
                ("n_bytes", models.BigIntegerField(default=0)),
                ("stored", models.JSONField(default=dict)),
                ("reasons", models.JSONField(default=dict)),
                ("refusals", models.JSONField(default=dict)),
                ("redacted", models.JSONField(default=dict)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="tallies",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "tallies",
                "indexes": [
                    models.Index(condition=models.Q(("grain", 0)), fields=["project", "id"], name="tally_moments")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("grain__gt", 0)),
                        fields=("project", "grain", "starts_at", "sender", "route", "instrument"),
                        name="tally_once",
                    )
                ],
            },
        ),
    ]
