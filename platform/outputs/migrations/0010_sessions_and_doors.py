"""An index that finds a session, made while outputs go on arriving, and the ways in for feedback from public pages."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models

KINDS = ["thumb", "edit", "comment", "outcome"]


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("outputs", "0009_tallies_and_limits"), ("projects", "0004_how_pages_suit_a_person")]

    operations = [
        ValidateConstraint(model_name="output", name="output_cost_source_has_cost"),
        AddIndexConcurrently(
            model_name="output",
            index=models.Index(
                condition=models.Q(("session_id", ""), _negated=True),
                fields=["project", "session_id", "id"],
                name="output_by_session",
            ),
        ),
        migrations.CreateModel(
            name="FeedbackDoor",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=80)),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=10), size=None),
                ),
                (
                    "origins",
                    django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=300), size=None),
                ),
                ("secret", models.BinaryField()),
                ("needs_signature", models.BooleanField(default=False)),
                ("created_by", models.CharField(max_length=300)),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("revoked_at", models.DateTimeField(null=True)),
                ("revoked_by", models.CharField(blank=True, max_length=300)),
                (
                    "project",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="feedback_doors",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("project", "name"), name="feedback_door_name_once"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("kinds__contained_by", KINDS),
                            models.Q(("kinds", []), _negated=True),
                        ),
                        name="feedback_door_kinds_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("revoked_at", None), ("revoked_by", "")),
                            models.Q(
                                models.Q(("revoked_at", None), _negated=True),
                                models.Q(("revoked_by", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="feedback_door_revoked_by_somebody",
                    ),
                ],
            },
        ),
    ]
