"""A Django site that insists on TLS, in one file: `gunicorn django_site:application`."""

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path

settings.configure(
    SECRET_KEY="not-secret",  # of a site that lives as long as its test
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
    SECURE_SSL_REDIRECT=True,
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"),
    SECURE_HSTS_SECONDS=60,
    CSRF_COOKIE_SECURE=True,
)
django.setup()


def page(request: HttpRequest) -> HttpResponse:
    """Say how the request came; a POST needs the token of the cookie, and an Origin of this site."""
    return JsonResponse(
        {
            "method": request.method,
            "scheme": request.scheme,
            "is_secure": request.is_secure(),
            "absolute": request.build_absolute_uri().partition("://")[0],
            "token": bool(get_token(request)),
        }
    )


urlpatterns = [path("page/", page)]
application = get_wsgi_application()
