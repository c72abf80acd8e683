# daphne examples.django_app:application
"""Django: its ASGI application is wrapped; async views await push, sync views use push.blocking."""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from asgi_push import PushMiddleware, get_push

CUSTOMERS = {7: "11", 8: "12"}  # who ordered what

# settings.py
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost", "127.0.0.1"])


# views.py
@csrf_exempt  # so that curl can try it
@require_POST
async def ship(request: HttpRequest, order: int) -> JsonResponse:
    result = await get_push(request).send_to_user(
        CUSTOMERS[order], {"order": order, "status": "shipped"}
    )
    return JsonResponse({"receivers": result.receivers})


@csrf_exempt
@require_POST
def cancel(request: HttpRequest, order: int) -> JsonResponse:
    result = get_push(request).blocking.send_to_user(
        CUSTOMERS[order], {"order": order, "status": "cancelled"}
    )
    return JsonResponse({"receivers": result.receivers})


# urls.py
urlpatterns = [path("orders/<int:order>/ship", ship), path("orders/<int:order>/cancel", cancel)]

# asgi.py
application = PushMiddleware(get_asgi_application(), path="/websocket/{user_id}")
