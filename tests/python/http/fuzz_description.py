"""server/http/web/openapi.json: what it says of a request and of an answer, as functions."""

import copy
import json
import re

import fastjsonschema
from fuzz_daemon import ROOT

PATH = ROOT / "server/http/web/openapi.json"
METHODS = ("get", "post", "delete")


class Wrong(Exception):
    """An answer is not as it is described."""


def _refuse_duplicates(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member that is there twice")
    return members


def _refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def strict_json(data):
    """UTF-8 without members that are there twice, NaN and the like; ValueError otherwise."""
    text = data.decode("utf-8")
    return json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)


def without_nulls(value):
    """A member that is null counts as left out."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    return [without_nulls(element) for element in value] if isinstance(value, list) else value


def _close(schema):
    """No answer has members that are not described."""
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


class Operation:
    def __init__(self, description, path, method):
        document = description.document
        item = document["paths"][path]
        self.path = path
        self.method = method.upper()
        self.parameters = [
            description.found(p) for p in (*item.get("parameters", ()), *item[method].get("parameters", ()))
        ]
        self.body = item[method].get("requestBody")
        self.request_schema = None
        if self.body and "application/json" in self.body["content"]:
            self.request_schema = self.body["content"]["application/json"]["schema"]
        self.answers = {}  # (status, media type) → check
        self.events = None
        for status, answer in item[method]["responses"].items():
            answer = description.found(answer)
            for code in answer["x-statuses"] if status == "default" else [int(status)]:
                for media_type, content in answer["content"].items():
                    self.answers.setdefault((code, media_type), description.check(content["schema"]))
                    if "x-event-data" in content:
                        self.events = description.check(content["x-event-data"])
        self.is_valid_request = description.check(self.request_schema, closed=False) if self.request_schema else None

    @property
    def name(self):
        return f"{self.method} {self.path}"


class Description:
    def __init__(self):
        self.document = json.loads(PATH.read_text())
        self.closed = copy.deepcopy(self.document["components"])
        _close(self.closed)
        self.checks = {}
        self.operations = [
            Operation(self, path, method)
            for path, item in self.document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self.error = self.check({"$ref": "#/components/schemas/Error"})

    def found(self, part):
        while "$ref" in part:
            target = self.document
            for name in part["$ref"].removeprefix("#/").split("/"):
                target = target[name]
            part = target
        return part

    def check(self, schema, closed=True):
        key = json.dumps(schema) + str(closed)
        if key not in self.checks:
            components = self.closed if closed else self.document["components"]
            whole = {"allOf": [copy.deepcopy(schema)], "components": components}
            self.checks[key] = fastjsonschema.compile(whole, use_default=False)
        return self.checks[key]

    def operation_of(self, method, path):
        """The operation that a path of a request means, one without names before one with."""
        method = "GET" if method == "HEAD" else method
        best = None
        for operation in self.operations:
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(operation.path))
            if operation.method == method and re.fullmatch(pattern, path) and (best is None or "{" in best.path):
                best = operation
        return best

    def check_answer(self, operation, answer, is_head=False):
        """Raises Wrong, or gives the answer's JSON (or events)."""
        check = operation.answers.get((answer.status, answer.media_type))
        if check is None:
            raise Wrong(f"{answer.status} in {answer.media_type or 'no media type'} is not described")
        if is_head:
            return None
        if answer.media_type == "text/event-stream":
            return self.check_events(operation, answer.body)
        if answer.media_type != "application/json":
            return None
        return self._checked(check, answer.body)

    def _checked(self, check, data):
        try:
            value = strict_json(data)
            check(value)
        except fastjsonschema.JsonSchemaException as error:
            raise Wrong(f"not as described: {error}") from error
        except ValueError as error:
            raise Wrong(f"no JSON: {error}") from error
        return value

    def check_events(self, operation, body):
        text = body.decode("utf-8")
        if not text.endswith("\n\n"):
            raise Wrong("an event stream that ends within an event")
        events = []
        is_done = False
        for block in text[:-2].split("\n\n"):
            if not block or block.startswith(": "):
                continue  # a comment
            if is_done:
                raise Wrong("an event after [DONE]")
            found = re.fullmatch(r"(?:event: (\S+)\n)?data: ([^\n]*)", block)
            if not found:
                raise Wrong(f"no event: {block[:200]!r}")
            if found[2] == "[DONE]":
                is_done = True
                continue
            is_error = found[2].startswith('{"error":')
            event = self._checked(self.error if is_error else operation.events, found[2].encode())
            if found[1] and (event["type"] != found[1] or event["sequence_number"] != len(events)):
                raise Wrong(f"event {len(events)} is named {found[1]} and is {event['type']}")
            events.append(event)
        if operation.path == "/v1/responses":
            last = events[-1]["type"] if events else None
            if last not in ("response.completed", "response.incomplete", "response.failed"):
                raise Wrong(f"the last event is {last}")
        elif is_done == (bool(events) and "error" in events[-1]):
            raise Wrong("a stream ends in [DONE] or in an error")
        return events
