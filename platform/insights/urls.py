from django.urls import include, path

from insights import api, cost_views, views

app_name = "insights"
API = [
    path("trends", api.trend, name="api-trends"),
    path("prices/unpriced", api.unpriced, name="api-unpriced"),
]
PAGES = [
    path("trends/", views.trends, name="trends"),
    path("costs/", cost_views.costs, name="costs"),
    path("trends/<str:figure>.<str:form>", views.trend_download, name="trend-download"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
