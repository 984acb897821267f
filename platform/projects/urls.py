from django.urls import include, path

from projects import views

app_name = "projects"
PAGES = [
    path("members/", views.member_list, name="member-list"),
    path("members/<int:member>/role/", views.member_role, name="member-role"),
    path("members/<int:member>/remove/", views.member_remove, name="member-remove"),
    path("keys/", views.key_list, name="key-list"),
    path("keys/<int:key>/revoke/", views.key_revoke, name="key-revoke"),
    path("audit/", views.audit_list, name="audit-list"),
]
urlpatterns = [
    path("login/", views.sign_in, name="login"),
    path("logout/", views.sign_out, name="logout"),
    path("signed-in/", views.signed_in, name="signed-in"),
    path("settings/", views.settings, name="settings"),
    path("<slug:project>/", include(PAGES)),
]
