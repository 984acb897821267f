"""What a project pays for its models, from when on."""

import django.db.models.deletion
from django.db import migrations, models


def _not_negative(name: str) -> models.Q:
    return models.Q((name, None), (f"{name}__gte", 0), _connector="OR")


class Migration(migrations.Migration):
    dependencies = [
        ("connections", "0001_initial"),
        ("projects", "0004_how_pages_suit_a_person"),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceTable",
            fields=[
                (
                    "project",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="price_table",
                        serialize=False,
                        to="projects.project",
                    ),
                ),
                ("uses_published", models.BooleanField(default=True)),
            ],
        ),
        migrations.CreateModel(
            name="Price",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("provider", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(max_length=200)),
                ("valid_from", models.DateTimeField()),
                ("input_usd", models.DecimalField(decimal_places=6, max_digits=13)),
                ("output_usd", models.DecimalField(decimal_places=6, max_digits=13)),
                ("cached_input_usd", models.DecimalField(decimal_places=6, max_digits=13, null=True)),
                ("cache_write_usd", models.DecimalField(decimal_places=6, max_digits=13, null=True)),
                ("reasoning_usd", models.DecimalField(decimal_places=6, max_digits=13, null=True)),
                ("note", models.CharField(blank=True, max_length=300)),
                ("created_at", models.DateTimeField()),
                ("created_by", models.CharField(max_length=300)),
                ("ended_at", models.DateTimeField(null=True)),
                ("ended_by", models.CharField(blank=True, max_length=300)),
                (
                    "project",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="prices",
                        to="projects.project",
                    ),
                ),
                (
                    "superseded_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="connections.price",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["project", "model", "valid_from"], name="price_by_model")],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)),
                        fields=("project", "provider", "model", "valid_from"),
                        name="price_stands_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("input_usd__gte", 0),
                            ("output_usd__gte", 0),
                            _not_negative("cached_input_usd"),
                            _not_negative("cache_write_usd"),
                            _not_negative("reasoning_usd"),
                        ),
                        name="price_not_negative",
                    ),
                    models.CheckConstraint(condition=models.Q(("model", ""), _negated=True), name="price_has_model"),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at", None), ("ended_by", ""), ("superseded_by", None)),
                            models.Q(("ended_at__isnull", False), models.Q(("ended_by", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="price_ended_by_somebody",
                    ),
                ],
            },
        ),
    ]
