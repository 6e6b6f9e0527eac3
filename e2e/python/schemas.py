"""Schemathesis over everything that the server describes: the admin API's own document, and `oauth.openapi.yaml`.

Requests are generated from the descriptions, mostly wrong and sometimes right: values that work are mixed in. No answer
may be an error of the server, and each must be one that is described. The seed is fixed and the number of examples
bounded, so that a run takes seconds and finds the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.parse
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import browser
import yaml
from machine import GRANT_EXCHANGE, admin, register
from steps import ISSUER, MCP_URL, Checks, expect, metadata

EXAMPLES = {"oauth": 60, "admin": 20}
# The number of examples bounds the work; this ends only what hangs.
TIME_LIMIT_SECONDS = 240
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
CALLBACK = "http://127.0.0.1:33446/callback"
VERIFIER = "a" * 43
METADATA = metadata()
Live = dict[str, list[Any]]

checks = Checks(f"schemathesis {version('schemathesis')}")


def post(path: str, form: dict[str, str]) -> dict[str, Any]:
    body = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{ISSUER}{path}", body, timeout=20) as answer:
        return json.load(answer)


def code(client_id: str) -> str:
    """A code that nobody has redeemed."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    asked = {"response_type": "code", "client_id": client_id, "redirect_uri": CALLBACK, "resource": MCP_URL}
    asked |= {"code_challenge": challenge, "code_challenge_method": "S256", "scope": "mcp:read offline_access"}
    callback = browser.open_url(f"{ISSUER}/oauth/authorize?{urllib.parse.urlencode(asked)}", deliver=False)
    return urllib.parse.parse_qs(urllib.parse.urlsplit(callback).query)["code"][0]


def live_values() -> Live:
    """What works on this server, so that generated requests come past the first checks."""
    machine = register(client_name="machine", grant_types=["client_credentials", GRANT_EXCHANGE])
    person = register(client_name="person", redirect_uris=[CALLBACK], token_endpoint_auth_method="none")
    secret = {"client_id": machine["client_id"], "client_secret": machine["client_secret"]}
    own = post("/oauth/token", {"grant_type": "client_credentials", "resource": MCP_URL, **secret})
    redeemed = {"grant_type": "authorization_code", "client_id": person["client_id"], "redirect_uri": CALLBACK}
    granted = post("/oauth/token", {**redeemed, "code": code(person["client_id"]), "code_verifier": VERIFIER})
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
    return {
        "client_id": [machine["client_id"], person["client_id"]],
        "client_secret": [machine["client_secret"]],
        "access_token": [own["access_token"], granted["access_token"]],
        "refresh_token": [granted["refresh_token"]],
        "code": [code(person["client_id"])],
        "code_verifier": [VERIFIER],
        "code_challenge": [challenge],
        "redirect_uri": [CALLBACK],
        "scope": ["mcp:read", "mcp:read mcp:write", "offline_access"],
        "resource": [MCP_URL],
        "slug": [resource["slug"] for resource in admin("GET", "resources")["items"]],
        "managed_id": [person["client_id"], machine["client_id"]],
        "token_type": [
            "urn:ietf:params:oauth:token-type:access_token",
            "urn:ietf:params:oauth:token-type:jwt",
            "urn:ietf:params:oauth:token-type:id-jag",
        ],
    }


def mixed(schema: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    return {"anyOf": [{"enum": values}, schema]}


def with_live(node: Any, live: Live) -> Any:
    """The description with values that work beside each `x-live`, and each form once more with nothing else."""
    if isinstance(node, list):
        return [with_live(item, live) for item in node]
    if not isinstance(node, dict):
        return node
    name = node.get("x-live")
    inner = {key: with_live(value, live) for key, value in node.items() if key != "x-live"}
    if name:
        return mixed(inner, live[name])
    if "client_id" in node.get("properties", {}) and any("x-live" in one for one in node["properties"].values()):
        return {"anyOf": [only_live(node, live), inner]}
    return inner


def only_live(form: dict[str, Any], live: Live) -> dict[str, Any]:
    """A request of a client that authenticates itself, so that what is wrong is found behind that."""
    members = {
        name: {"enum": live[one["x-live"]]} if "x-live" in one else one for name, one in form["properties"].items()
    }
    proven = {name for name in ("client_id", "client_secret") if name in members}
    members |= {name: {"enum": live[name][:1]} for name in proven}
    required = sorted(proven | set(form.get("required", [])))
    # No assertion beside a secret, and no proof that is none.
    members = {name: one for name, one in members.items() if not name.startswith("client_assertion")}
    return {"type": "object", "properties": members, "required": required, "additionalProperties": False}


def endpoints(live: Live) -> dict[str, Any]:
    """The description of the OAuth endpoints, without those that this server does not offer."""
    document = yaml.safe_load((Path(__file__).parent.parent / "oauth.openapi.yaml").read_text(encoding="utf-8"))
    for path, item in list(document["paths"].items()):
        needed = item.pop("x-needs", None)
        if needed and not METADATA.get(needed):
            checks.not_offered(path, needed)
            del document["paths"][path]
    return with_live(document, live)


def admin_api(live: Live) -> dict[str, Any]:
    """The admin API as it describes itself, with the names of what is there, and of what could be."""
    document = admin("GET", "openapi.json")
    several = range(30)
    people = [person["id"] for person in admin("GET", "users")["items"]]
    grants = [grant["id"] for grant in admin("GET", "grants")["items"]]
    members: dict[str, list[Any]] = {
        "uri": [f"https://r{number}.example/mcp" for number in several],
        "slug": [f"r{number}" for number in several],
        "email": [f"person{number}@example.com" for number in several],
        "password": ["correct horse battery staple"],
        "name": [f"n{number}" for number in several],
        "client_name": ["A client"],
        "display_name": ["A resource"],
        "redirect_uris": [[CALLBACK], []],
        "grant_types": [["authorization_code", "refresh_token"], ["client_credentials"]],
        "token_endpoint_auth_method": ["none", "client_secret_basic"],
        "application_type": ["native"],
        "client_id": live["client_id"],
        "subject_token": live["access_token"],
        "scope": live["scope"],
        "resource": live["resource"],
    }
    known = {"client_id": live["client_id"], "slug": [*live["slug"], *members["slug"][:3]]}
    for path, item in document["paths"].items():
        ids = {"users": people, "grants": grants}.get(path.split("/")[2])
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                values = ids if parameter["name"] == "id" else known.get(parameter["name"])
                if parameter["in"] == "path" and values:
                    parameter["schema"] = mixed(parameter["schema"], values)
    for name, schema in document["components"]["schemas"].items():
        # What is sent, not what comes back.
        if schema.get("properties") and (name.startswith("New") or name.endswith("Change") or name == "WouldBe"):
            document["components"]["schemas"][name] = {"anyOf": [only_known(schema, members), schema]}
    return document


def only_known(schema: dict[str, Any], members: Live) -> dict[str, Any]:
    """The members that are required, and others whose values are known."""
    required = set(schema.get("required", []))
    kept = {
        name: {"enum": members[name]} if name in members else one
        for name, one in schema["properties"].items()
        if name in members or name in required
    }
    return {"type": "object", "properties": kept, "required": sorted(required), "additionalProperties": False}


def run(name: str, document: dict[str, Any], url: str, *more: str) -> None:
    """One run, reported operation by operation."""
    given, report, diary = Path(f"{name}.json"), Path(f"{name}.report.json"), Path(f"{name}.log")
    given.write_text(json.dumps(document), encoding="utf-8")
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", str(given), "--url", url]
    command += ["--checks", ",".join(CHECKS), "-n", str(EXAMPLES[name]), "--generation-deterministic", "--seed", "1"]
    command += ["--continue-on-failure", "--request-timeout", "20", "--report", "json"]
    command += ["--report-json-path", str(report), *more]
    told: dict[str, Any] = {}
    with checks.step(name):
        with diary.open("w") as log:
            ended = subprocess.run(command, stdout=log, stderr=log, timeout=TIME_LIMIT_SECONDS, check=False)
        expect(report.exists(), diary.read_text(encoding="utf-8")[-1500:])
        told = json.loads(report.read_text(encoding="utf-8"))
        generated, operations = told["test_cases"]["generated"], told["operations"]
        expect(operations["tested"] == operations["total"], f"operations: {operations}")
        expect(told["complete"] and not told["errors"], f"errors: {told['errors']}")
        # A description that nothing can be generated from would be silent.
        expect(generated > 10 * operations["total"], f"{generated} requests to {operations}")
        checks.detail = f"{generated} requests to {operations['total']} operations"
    if not told:
        return
    by_operation: dict[str, list[str]] = {}
    for failure in told["failures"]:
        by_operation.setdefault(failure["operation"], []).append(f"{failure['title']}: {failure['message']}")
    for operation in sorted(set(told["valid_rates"]) | set(by_operation)):
        with checks.step(f"{name} {operation}"):
            expect(operation not in by_operation, f"{by_operation.get(operation)}, see {diary.resolve()}")
    if not told["failures"]:
        expect(ended.returncode == 0, f"schemathesis ended with {ended.returncode}")


def main() -> None:
    live = live_values()
    key = f"Authorization: Bearer {os.environ['DOORWARD_ADMIN_KEY']}"
    run("oauth", endpoints(live), ISSUER)
    run("admin", admin_api(live), os.environ["DOORWARD_ADMIN_URL"], "-H", key)
    sys.exit(checks.failed)


main()
