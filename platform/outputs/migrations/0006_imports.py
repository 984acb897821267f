"""Files that are imported: their pieces, how far each is, and what was refused."""

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("outputs", "0005_steps")]

    operations = [
        migrations.CreateModel(
            name="Import",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("format", models.CharField(max_length=20)),
                (
                    "kind",
                    models.CharField(
                        choices=[("outputs", "Outputs"), ("feedback", "Feedback")], default="outputs", max_length=10
                    ),
                ),
                ("name", models.CharField(blank=True, max_length=200)),
                ("size", models.BigIntegerField(null=True)),
                ("received_bytes", models.BigIntegerField(default=0)),
                ("mapping", models.JSONField(null=True)),
                ("sample", models.JSONField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("uploading", "Uploading"),
                            ("arrived", "Arrived"),
                            ("ready", "Ready"),
                            ("waiting", "Waiting"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="uploading",
                        max_length=10,
                    ),
                ),
                ("error", models.TextField(blank=True)),
                ("cursor", models.JSONField(default=dict)),
                ("n_rows", models.BigIntegerField(default=0)),
                ("n_stored", models.BigIntegerField(default=0)),
                ("n_duplicates", models.BigIntegerField(default=0)),
                ("n_rejected", models.BigIntegerField(default=0)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("lease_token", models.BigIntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=300)),
                ("touched_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="imports",
                        to="projects.project",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportFlaw",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("rows", models.JSONField()),
                (
                    "of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="flaws",
                        to="outputs.import",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ImportPiece",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("offset", models.BigIntegerField()),
                ("body", models.BinaryField()),
                (
                    "of",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="outputs.import",
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="import",
            index=models.Index(fields=["project", "id"], name="import_by_project"),
        ),
        migrations.AddIndex(
            model_name="import",
            index=models.Index(
                condition=models.Q(("state__in", ["uploading", "arrived", "ready", "waiting", "running"])),
                fields=["id"],
                name="import_unfinished",
            ),
        ),
        migrations.AddConstraint(
            model_name="import",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "n_rows",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("n_stored"), "+", models.F("n_duplicates")
                            ),
                            "+",
                            models.F("n_rejected"),
                        ),
                    )
                ),
                name="import_counts_every_row",
            ),
        ),
        migrations.AddConstraint(
            model_name="import",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("ended_at__isnull", False), ("state__in", ["done", "failed", "cancelled"])),
                    models.Q(
                        models.Q(("state__in", ["done", "failed", "cancelled"]), _negated=True), ("ended_at", None)
                    ),
                    _connector="OR",
                ),
                name="import_ended_has_moment",
            ),
        ),
        migrations.AddConstraint(
            model_name="import",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "running"), _negated=True), ("lease_until__isnull", False), _connector="OR"
                ),
                name="import_running_has_end",
            ),
        ),
        migrations.AddIndex(
            model_name="importflaw",
            index=models.Index(fields=["of", "id"], name="import_flaw_in_order"),
        ),
        migrations.AddConstraint(
            model_name="importpiece",
            constraint=models.UniqueConstraint(fields=("of", "offset"), name="import_piece_once"),
        ),
        # A piece is read once or twice and then dropped: to compress it costs more than it saves.
        migrations.RunSQL(
            "ALTER TABLE outputs_importpiece ALTER COLUMN body SET STORAGE EXTERNAL",
            migrations.RunSQL.noop,
        ),
    ]
