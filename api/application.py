"""The HTTP application: routes, the guard before them, and what every answer has in common."""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NoReturn

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api import problem
from api.description import describe
from api.head import HeadMiddleware
from api.pages import routes as pages
from api.refusals import NotReady
from api.rest import beats, health, history, jobs, schemas, tracks, upload, versions
from api.rest.headers import ANSWERED
from api.rest.health import Readiness
from api.security.guard import Authenticator
from api.services import Services
from api.trace import TraceMiddleware

ROUTERS = (
    upload.router,
    tracks.router,
    beats.router,
    versions.router,
    history.router,
    jobs.router,
    schemas.router,
    health.router,
    pages.router,
)

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def create_api(services: Services, readiness: Readiness) -> FastAPI:
    """Return the application that serves these parts. Opens and closes none of them."""
    app = _application(_middleware(services.cors_origins))
    app.state.services = services
    app.state.authenticator = Authenticator(services.verifier, services.accounts)
    app.state.readiness = readiness
    app.state.started = False
    return app


def create_probes(readiness: Readiness) -> FastAPI:
    """Return the health probes alone, for a process that has no other surface."""
    app = _bare()
    app.include_router(health.router)
    app.state.readiness = readiness
    app.state.started = False
    return app


def create_waiting(waits_for: str) -> FastAPI:
    """Return what answers until the process can begin: it lives, and everything else is not ready."""

    async def refuse(request: Request) -> NoReturn:
        raise NotReady({"start": f"waiting for {waits_for}"})

    app = _bare()
    app.add_api_route("/livez", health.livez)
    app.add_api_route("/{path:path}", refuse, methods=[*_METHODS], response_model=None)
    return app


def openapi() -> dict[str, Any]:
    """Return the OpenAPI description, for which no part of the house is needed."""
    return _application([]).openapi()


def response_models() -> dict[str, Any]:
    """Return the models of answers by the name of their operation."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    return {route.name: route.response_model for route in routes if route.response_model is not None}


def _application(middleware: list[Middleware]) -> FastAPI:
    app = FastAPI(
        title="beatledger",
        version="1.0.0",
        description="Upload songs, find their beats, correct them, and see who changed what and when.",
        license_info={"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        # A redirect would send the client, token and all, to whatever host its request named.
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        middleware=middleware,
        generate_unique_id_function=lambda route: route.name,
    )
    problem.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = cache(partial(describe, app))
    return app


def _bare() -> FastAPI:
    app = FastAPI(openapi_url=None, redirect_slashes=False, middleware=[Middleware(TraceMiddleware)])
    problem.install(app)
    return app


def _middleware(cors_origins: tuple[str, ...]) -> list[Middleware]:
    traced = [Middleware(TraceMiddleware), Middleware(HeadMiddleware)]
    if not cors_origins:
        return traced
    # Outside the trace, so that a page may read the problem of an unexpected error too.
    cors = Middleware(
        CORSMiddleware,
        allow_origins=cors_origins,
        allow_methods=_METHODS,
        allow_headers=["*"],
        expose_headers=tuple(ANSWERED),
    )
    return [cors, *traced]
