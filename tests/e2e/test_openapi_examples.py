"""Each operation of the OpenAPI document is sent with its own defaults and examples, as /docs offers them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from analysis.synth import synthesise
from tests.servers.beatledger import Beatledger, ready
from tests.servers.processes import until

FIRST = ("upload_track", "get_track", "list_tracks")
LAST = ("override_beats", "revert_beats", "give_reference", "request_analysis", "cancel_job", "requeue_job")
BEATS = b"".join(f"{0.35 + 0.46875 * n:.3f}\n".encode() for n in range(20))
"""A reference, for the one body that has no example: a file."""


class Session:
    """One track, through all operations."""

    def __init__(self, client: httpx2.Client, song: bytes) -> None:
        self.client = client
        self.files = {"upload_track": ("song.wav", song), "give_reference": ("beats.txt", BEATS)}
        self.ids: dict[str, str] = {}

    def prepare(self, operation: str) -> None:
        """Bring the track into the state that the operation is for."""
        if operation in ("request_analysis", "cancel_job"):
            until(lambda: self._job()["status"] in ("completed", "cancelled"), 60, "the job before")
        if operation == "cancel_job":
            answer = self.client.post(f"/v1/tracks/{self.ids['track_id']}/analyses")
            self.ids["job_id"] = answer.json()["job_id"]

    def send(
        self, method: str, path: str, operation: dict[str, Any], body: dict[str, Any]
    ) -> httpx2.Response:
        """Send a request of the document's defaults; ids are those of the track and its job."""
        query: dict[str, Any] = {}
        headers: dict[str, str] = {}
        for parameter in operation.get("parameters", ()):
            name, place = parameter["name"], parameter["in"]
            value = _shown(parameter)
            if place == "path":
                path = path.replace(f"{{{name}}}", str(self.ids[name] if value is None else value))
            elif value is not None:
                (query if place == "query" else headers)[name] = value
            else:
                assert not parameter["required"], f"{operation['operationId']}: {name} has no example"
        return self.client.request(method, path, params=query, headers=headers, **body)

    def keep(self, operation: str, answer: dict[str, Any]) -> None:
        """Keep the ids that an answer names."""
        self.ids |= {name: answer[name] for name in ("track_id", "job_id") if name in answer}
        if operation == "upload_track":
            ready(self.client, self.ids["track_id"])

    def _job(self) -> dict[str, Any]:
        return self.client.get(f"/v1/jobs/{self.ids['job_id']}").json()


def _shown(parameter: dict[str, Any]) -> Any:
    """Return what the documentation page fills in for a parameter or a field."""
    schema = parameter["schema"]
    examples = schema.get("examples") or [schema.get("default")]
    return parameter.get("example", examples[0])


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    found = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]

    def rank(item: tuple[str, str, dict[str, Any]]) -> tuple[int, int]:
        name = item[2]["operationId"]
        if name in FIRST:
            return 0, FIRST.index(name)
        return (2, LAST.index(name)) if name in LAST else (3 if name == "archive_track" else 1, 0)

    return iter(sorted(found, key=rank))


def _bodies(
    operation: dict[str, Any], files: dict[str, tuple[str, bytes]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    content = operation.get("requestBody", {}).get("content", {})
    if "multipart/form-data" in content:
        file = {"file": files[operation["operationId"]]}
        fields = content["multipart/form-data"]["schema"]["properties"]
        shown = {name: _shown({"schema": field}) for name, field in fields.items()}
        yield "form", {"data": {k: v for k, v in shown.items() if v is not None}, "files": file}
    elif content:
        for name, example in content["application/json"]["examples"].items():
            yield name, {"json": example["value"]}
    else:
        yield "no body", {}


def test_every_example_of_the_document_is_accepted_by_a_fresh_installation(own_up: Beatledger) -> None:
    sent: list[str] = []
    with own_up.client("producer", "auditor") as client:
        document = client.get("/openapi.json").json()
        session = Session(client, synthesise("edm", 128.0, 30.0).wav())
        for method, path, operation in _operations(document):
            name = operation["operationId"]
            for example, body in _bodies(operation, session.files):
                session.prepare(name)
                answer = session.send(method, path, operation, body)
                told = f"{name} ({example}): {answer.status_code} {answer.text[:300]}"
                assert answer.is_success, told
                sent.append(name)
                if name in FIRST or name in LAST:
                    session.keep(name, answer.json())
    assert len(set(sent)) == sum(map(len, document["paths"].values()))
