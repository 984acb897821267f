from django.urls import path

from connections import api

app_name = "connections"
urlpatterns = [path("connections", api.connections, name="api-connection-list")]
