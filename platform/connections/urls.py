from django.urls import include, path

from connections import api, price_api, price_views, views, webhook_api, webhook_views

app_name = "connections"
API = [
    path("connections", api.connections, name="api-connection-list"),
    path("webhooks", webhook_api.webhooks, name="api-webhook-list"),
    path("webhooks/<int:webhook_id>", webhook_api.webhook_detail, name="api-webhook-detail"),
    path("deliveries", webhook_api.deliveries, name="api-delivery-list"),
    path("deliveries/<int:delivery_id>/retry", webhook_api.delivery_retry, name="api-delivery-retry"),
    path("prices", price_api.prices, name="api-price-list"),
    path("prices/<int:price_id>/withdraw", price_api.price_withdraw, name="api-price-withdraw"),
]
PAGES = [
    path("connections/", views.connection_list, name="connection-list"),
    path("connections/<str:name>/", views.connection_edit, name="connection-edit"),
    path("webhooks/", webhook_views.webhook_list, name="webhook-list"),
    path("webhooks/<int:webhook_id>/delete/", webhook_views.webhook_delete, name="webhook-delete"),
    path("webhooks/deliveries/<int:delivery_id>/retry/", webhook_views.delivery_retry, name="delivery-retry"),
    path("prices/", price_views.price_list, name="price-list"),
    path("prices/history/", price_views.price_history, name="price-history"),
    path("prices/published/", price_views.price_published, name="price-published"),
    path("prices/<int:price_id>/withdraw/", price_views.price_withdraw, name="price-withdraw"),
]
urlpatterns = [path("api/v1/", include(API)), path("<slug:project>/", include(PAGES))]
