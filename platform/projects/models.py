"""Who may see and do what: users, projects, roles, keys, and the record of what was done."""

import secrets
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower


class Role(models.TextChoices):
    """What a member is in a project; `access.ROLE_SCOPES` says what each may do."""

    REVIEWER = "reviewer"
    ENGINEER = "engineer"
    MANAGER = "manager"
    ADMIN = "admin"


class Theme(models.TextChoices):
    """How pages look; empty is whatever the person's system says."""

    SYSTEM = "", "As my system"
    LIGHT = "light"
    DARK = "dark"


# How forms call the theme that is stored as nothing.
LIKE_THE_SYSTEM = "system"


class Users(BaseUserManager["User"]):
    """Users are made by `services.create_user` alone; Django's own look-ups need these two."""

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """One person, known by an e-mail address, which is unique whatever its case, and how pages suit this person."""

    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    joined_at = models.DateTimeField(auto_now_add=True)
    theme = models.CharField(max_length=10, choices=Theme, blank=True, default=Theme.SYSTEM)
    time_zone = models.CharField(max_length=64, default="UTC")
    single_keys = models.BooleanField(default=True)

    objects: ClassVar[Users] = Users()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_email_unique_any_case"),
            models.CheckConstraint(condition=models.Q(theme__in=Theme.values), name="user_theme_known"),
        ]

    def __str__(self) -> str:
        return self.email


def new_hash_key() -> bytes:
    """32 random bytes that key a project's body hashes, so that equal texts cannot be guessed from them."""
    return secrets.token_bytes(32)


class Project(models.Model):
    """One AI system, or one team's; everything else belongs to exactly one project."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=80, unique=True)
    hash_key = models.BinaryField(default=new_hash_key, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """This user has this role in this project."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="membership_once_per_project"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.project}"


class ApiKeyQuerySet(models.QuerySet["ApiKey"]):
    def live(self) -> "ApiKeyQuerySet":
        """Keys that still open something: not revoked, and their person (if any) not disabled."""
        return self.filter(revoked_at=None).exclude(user__is_active=False)


class ApiKey(models.Model):
    """A secret that opens one project for some scopes; only its SHA-256 is kept."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="api_keys")
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16)
    digest = models.BinaryField(max_length=32, unique=True)
    scopes = ArrayField(models.CharField(max_length=20))
    user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="api_keys")
    created_by = models.CharField(max_length=300)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["project", "name"], condition=models.Q(revoked_at=None), name="api_key_name_once_while_live"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.prefix}… ({self.name})"


class AuditEvent(models.Model):
    """Somebody did something that mattered; rows are added and, by a trigger, never changed or removed."""

    project = models.ForeignKey(Project, null=True, on_delete=models.DO_NOTHING, related_name="audit_events")
    at = models.DateTimeField()
    actor = models.CharField(max_length=300)
    verb = models.CharField(max_length=60)
    subject = models.CharField(max_length=300)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["project", "-at"], name="audit_newest_first"),
            models.Index(fields=["project", "-id"], name="audit_by_cursor"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor} {self.verb} {self.subject}"
