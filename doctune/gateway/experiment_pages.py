"""What is known of the experiments, for keys of the scope `admin`: as JSON, and as a page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

from doctune.database.engine import DatabaseError
from doctune.database.experiments import list_experiments
from doctune.errors import UsageError
from doctune.experiments.status import standing_of
from doctune.gateway.problems import GatewayError
from doctune.gateway.services import Services


def add_experiment_pages(app: FastAPI, services: Services) -> None:
    """Adds the routes."""

    @app.get("/v1/experiments")
    async def experiments(request: Request) -> JSONResponse:
        await services.identities.of(request.headers, "admin")
        states = await _asked(lambda: list_experiments(services.engine))
        listed = [
            {"name": state.name, "model": state.model, "state": state.state,
             "verdict": state.verdict}
            for state in states
        ]  # fmt: skip
        return JSONResponse({"object": "list", "data": listed})

    @app.get("/v1/experiments/{name}")
    async def experiment(request: Request, name: str) -> JSONResponse:
        await services.identities.of(request.headers, "admin")
        found = await _asked(lambda: standing_of(services.engine, name))
        return JSONResponse(asdict(found))

    @app.get("/v1/experiments/{name}/report")
    async def report(request: Request, name: str) -> HTMLResponse:
        await services.identities.of(request.headers, "admin")
        return HTMLResponse(await _asked(lambda: _render(services, name)))


def _render(services: Services, name: str) -> str:
    try:
        from doctune.experiments.report import render_report
    except ImportError as error:
        raise GatewayError(
            501,
            "This gateway is installed without the statistics: doctune[experiments].",
            code="not_installed",
        ) from error
    return render_report(services.engine, name)


async def _asked(work: Callable[[], Any]) -> Any:
    try:
        return await asyncio.to_thread(work)
    except UsageError as error:
        raise GatewayError(404, str(error), code="experiment_not_found") from error
    except DatabaseError as error:
        raise GatewayError(
            503, "The database is away: try again.", code="database_unavailable", retry_after=5
        ) from error
