"""Steps with their bodies, partitioned as those of outputs, and messages that come apart from their output."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

MAKE_BODIES = """
CREATE TABLE outputs_stepbody (
    step_id bigint NOT NULL,
    received_on date NOT NULL,
    input jsonb,
    output jsonb,
    error text,
    metadata jsonb,
    PRIMARY KEY (step_id, received_on)
) PARTITION BY RANGE (received_on);
CREATE TABLE outputs_stepbody_rest PARTITION OF outputs_stepbody DEFAULT;
DO $$
DECLARE
    first date := date_trunc('month', now() AT TIME ZONE 'UTC');
BEGIN
    FOR ahead IN 0..2 LOOP
        EXECUTE format(
            'CREATE TABLE outputs_stepbody_%s PARTITION OF outputs_stepbody FOR VALUES FROM (%L) TO (%L)',
            to_char(first, 'YYYYMM'), first, (first + interval '1 month')::date
        );
        first := first + interval '1 month';
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("outputs", "0004_traces_and_thumbs"),
        ("projects", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Step",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("external_id", models.CharField(max_length=200)),
                ("body_hash", models.BinaryField(max_length=32)),
                ("trace_id", models.CharField(max_length=64)),
                ("span_id", models.CharField(max_length=64)),
                ("parent_span_id", models.CharField(blank=True, max_length=64)),
                ("session_id", models.CharField(blank=True, max_length=200)),
                ("name", models.CharField(blank=True, max_length=200)),
                (
                    "kind",
                    models.SmallIntegerField(
                        choices=[
                            (0, "Other"),
                            (1, "Agent"),
                            (2, "Chain"),
                            (3, "Tool"),
                            (4, "Retrieval"),
                            (5, "Embedding"),
                            (6, "Reranker"),
                            (7, "Guardrail"),
                            (8, "Evaluator"),
                            (9, "Prompt"),
                            (10, "Http"),
                        ],
                        default=0,
                    ),
                ),
                ("service", models.CharField(blank=True, max_length=200)),
                ("status", models.SmallIntegerField(choices=[(0, "Ok"), (1, "Error")], default=0)),
                ("environment", models.CharField(blank=True, max_length=60)),
                ("started_at", models.DateTimeField(null=True)),
                ("latency_ms", models.FloatField(null=True)),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("received_on", models.DateField()),
                ("body_bytes", models.IntegerField(default=0)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="steps",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "trace_id", "id"], name="step_by_trace")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "external_id"), name="step_external_id_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="StepBody",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "step_id", "received_on", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("step_id", models.BigIntegerField()),
                ("received_on", models.DateField()),
                ("input", models.JSONField(null=True)),
                ("output", models.JSONField(null=True)),
                ("error", models.TextField(null=True)),
                ("metadata", models.JSONField(null=True)),
            ],
            options={"db_table": "outputs_stepbody", "managed": False},
        ),
        migrations.CreateModel(
            name="Saying",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("external_id", models.CharField(max_length=200)),
                ("body_hash", models.BinaryField(max_length=32)),
                ("output_external_id", models.CharField(max_length=200)),
                ("side", models.SmallIntegerField(choices=[(0, "Input"), (1, "Output")])),
                ("said_ns", models.BigIntegerField()),
                ("content", models.JSONField(null=True)),
                ("n_messages", models.IntegerField()),
                ("received_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sayings",
                        to="projects.project",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "output_external_id", "id"], name="saying_by_output")],
                "constraints": [
                    models.UniqueConstraint(fields=("project", "external_id"), name="saying_external_id_once")
                ],
            },
        ),
        migrations.RunSQL(MAKE_BODIES, "DROP TABLE outputs_stepbody"),
    ]
