"""The public listener described: an OpenAPI 3.1 document made from the table, so that it says
what is there, renamed paths and switched-off clients included."""

import re
from typing import Any

from collector import __version__
from collector.config import Config
from collector.wire import forms
from collector.wire.forms import Form
from collector.wire.table import documents, routes

SEGMENT_SCRIPT = "/analytics.js/v1/{key}/analytics.min.js"
_KEYS: list[dict[str, list[str]]] = [{"basic": []}, {"query": []}, {}]  # the last: in the body


def describe(config: Config) -> dict[str, Any]:
    """The document, as what JSON is made of."""
    table = sorted(routes(config.http, config.clients).items())
    paths = {path: {r.method.lower(): _operation(path, r.protocol.form)} for path, r in table}
    for one in documents(config.clients):
        answers = {"200": forms.json_of(one.summary, {"type": "object"})}
        form = Form(one.summary, answers, keyed=False)
        paths[one.path] = {one.method.lower(): _operation(one.path, form)}
    for path, form in _pages(config):
        paths[path] = {"get": _operation(path, form)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Collector", "version": __version__},
        "servers": [{"url": config.public_url}],
        "paths": paths,
        "components": {
            "schemas": forms.SCHEMAS,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "query": {"type": "apiKey", "in": "query", "name": "writeKey"},
            },
        },
    }


def _pages(config: Config) -> list[tuple[str, Form]]:
    """What there is besides the protocols."""
    code = {"200": forms.text("JavaScript", "text/javascript"), "304": {"description": "known"}}
    script = Form("the pixel", code, keyed=False)
    alive = {"200": forms.text("yes")}
    ready = alive | {"503": forms.text("the reason why not")}
    itself = {"200": forms.json_of("OpenAPI", {"type": "object"})}
    pages = [
        (config.http.script_path, script),
        ("/pixel.js", script),
        ("/healthz", Form("alive", alive, keyed=False)),
        ("/readyz", Form("able to store", ready, keyed=False)),
        ("/openapi.json", Form("this document", itself, keyed=False)),
    ]
    return [*pages, (SEGMENT_SCRIPT, script)] if config.clients.segment else pages


def _operation(path: str, form: Form) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": form.summary, "responses": form.answers}
    parameters = [_parameter(name, "path", "write key") for name in re.findall(r"{(\w+)}", path)]
    parameters += [_parameter(name, "query", said) for name, said in form.query.items()]
    if parameters:
        operation["parameters"] = parameters
    if form.keyed:
        operation["security"] = _KEYS
    if form.body is not None:
        # JSON whatever the type says: pages send text/plain to do without a preflight.
        content = {kind: {"schema": form.body} for kind in ("application/json", "text/plain")}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameter(name: str, place: str, said: str) -> dict[str, Any]:
    parameter: dict[str, Any] = {"name": name, "in": place, "schema": {"type": "string"}}
    if place == "path":
        parameter |= {"required": True, "schema": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"}}
    return parameter | {"description": said} if said else parameter
