"""The API of the price table."""

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from connections import price_queries, price_serializers
from connections.price_serializers import PriceList, PriceRequest, PriceShown
from connections.published import published
from connections.services import prices as services
from connections.services.prices import Amounts
from core import clock, paging
from projects.access import Scope
from projects.endpoint import actor_of, endpoint


@extend_schema(
    methods=["GET"],
    summary="The price table of the project",
    parameters=[OpenApiParameter("model", str, description="only prices that fit this model")],
    responses=PriceList,
)
@extend_schema(
    methods=["POST"],
    summary="Set the price of a model from a moment on",
    description="The same model, provider and moment again correct it; what stood there stays as history.",
    request=PriceRequest,
    responses={201: PriceShown, 200: OpenApiResponse(PriceShown, "It stood so already.")},
)
@endpoint(GET=Scope.READ, POST=Scope.ADMIN)
def prices(request: Request) -> Response:
    if request.method == "POST":
        return _set(request)
    paging.refuse_unknown(request, {"model"})
    book = price_queries.book(actor_of(request).project.pk)
    lines = price_queries.lines(book, now=clock.now())
    model = request.query_params.get("model")
    if model is not None:
        lines = [line for line in lines if line.rate.fits(model, line.rate.provider)]
    uses_published = bool(book.published)
    return Response(price_serializers.shown(lines, uses_published=uses_published, as_of=published().as_of))


@extend_schema(
    methods=["POST"],
    summary="Withdraw a price",
    description="It stays as history; a repeat changes nothing. Costs that stand follow once prices are applied.",
    request=None,
    responses=PriceShown,
)
@endpoint(POST=Scope.ADMIN)
def price_withdraw(request: Request, price_id: int) -> Response:
    withdrawn = services.withdraw_price(price_id=price_id, by=actor_of(request), now=clock.now())
    return Response(PriceShown(withdrawn).data)


def _set(request: Request) -> Response:
    asked = PriceRequest.read(request.data)
    amounts = Amounts(**{name: asked.pop(name) for name in Amounts.__dataclass_fields__})
    price, is_new = services.set_price(**asked, amounts=amounts, by=actor_of(request), now=clock.now())
    return Response(PriceShown(price).data, status=201 if is_new else 200)
