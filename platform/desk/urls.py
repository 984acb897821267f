from django.urls import path

from desk import views

app_name = "desk"
urlpatterns = [
    path("", views.home, name="home"),
    path("<slug:project>/", views.project_home, name="project-home"),
]
