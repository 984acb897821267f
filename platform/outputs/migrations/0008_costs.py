"""Tokens that are priced apart, whose figure a cost is, and requests to reckon costs anew."""

import django.db.models.deletion
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("outputs", "0007_redaction"),
        ("connections", "0002_prices"),
        ("projects", "0004_how_pages_suit_a_person"),
    ]

    operations = [
        migrations.AddField("output", "cached_input_tokens", models.BigIntegerField(null=True)),
        migrations.AddField("output", "cache_write_tokens", models.BigIntegerField(null=True)),
        migrations.AddField("output", "reasoning_tokens", models.BigIntegerField(null=True)),
        migrations.AddField(
            "output",
            "cost_source",
            models.SmallIntegerField(choices=[(0, "Sent"), (1, "Computed")], null=True),
        ),
        # Validated apart (0010): to look at every row would hold up ingest behind the lock that this one takes.
        AddConstraintNotValid(
            "output",
            models.CheckConstraint(
                condition=models.Q(("cost_source", None), ("cost_usd__isnull", False), _connector="OR"),
                name="output_cost_source_has_cost",
            ),
        ),
        migrations.CreateModel(
            name="Repricing",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("since", models.DateTimeField()),
                ("until", models.DateTimeField()),
                ("first_output", models.BigIntegerField()),
                ("last_output", models.BigIntegerField()),
                ("cursor", models.BigIntegerField()),
                ("n_seen", models.PositiveBigIntegerField(default=0)),
                ("n_changed", models.PositiveBigIntegerField(default=0)),
                ("n_unpriced", models.PositiveBigIntegerField(default=0)),
                (
                    "state",
                    models.CharField(
                        choices=[("walking", "Walking"), ("done", "Done")], default="walking", max_length=10
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=300)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="repricings",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "id"], name="repricing_by_project")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "walking")),
                        fields=("project", "since", "until"),
                        name="repricing_walks_alone",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("n_changed__lte", models.F("n_seen")), ("n_unpriced__lte", models.F("n_seen"))
                        ),
                        name="repricing_changes_what_it_saw",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("state", "walking")),
                            models.Q(("ended_at__isnull", False), ("state", "done")),
                            _connector="OR",
                        ),
                        name="repricing_ended_has_moment",
                    ),
                ],
            },
        ),
    ]
