"""`cargo lambda watch` answers each route of the template, and `cargo lambda invoke` accepts each payload of events/.

The functions' binaries run here, each behind cargo-lambda's Lambda, with settings from the environment, the database of
`cargo local --database-only` and queues of the emulator.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import requests
import yaml
from conftest import EVENTS, ROOT, built, clean_environment, demo, free_port, running, wait_until

CARGO_LAMBDA = Path(sys.executable).with_name("cargo-lambda")
FUNCTIONS = ("auth", "internal", "relay", "skills", "slack", "v1")


class Template(yaml.SafeLoader):
    """Loader of CloudFormation's YAML that ignores the values of its own tags."""


Template.add_multi_constructor("!", lambda *_: None)


def template_routes() -> dict[str, str]:
    """Function of each route in infra/template.yaml."""
    resources = yaml.load((ROOT / "infra/template.yaml").read_text(), Template)["Resources"]
    functions = {name: each for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    return {
        event["Properties"]["Path"]: name.removesuffix("Function").lower()
        for name, function in functions.items()
        for event in function["Properties"].get("Events", {}).values()
        # cargo-lambda has no default route.
        if event["Type"] == "HttpApi" and event["Properties"]["Path"] != "$default"
    }


def development_settings() -> dict[str, str]:
    lines = (EVENTS / "development.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def queues() -> dict[str, str]:
    """Creates a queue and its dead-letter queue in the emulator."""
    emulator = os.environ["AWS_EMULATOR_URL"]
    urls = []
    for name in ("lambda-events.fifo", "lambda-events-dead.fifo"):
        answer = requests.post(
            emulator, timeout=10, json={"QueueName": name, "Attributes": {"FifoQueue": "true"}},
            headers={
                "x-amz-target": "AmazonSQS.CreateQueue", "content-type": "application/x-amz-json-1.0",
                # The emulator reads the region here and checks nothing.
                "authorization": "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/sqs/aws4_request",
            },
        )
        answer.raise_for_status()
        urls.append(answer.json()["QueueUrl"])
    return {"AWS_ENDPOINT_URL_SQS": emulator, "EVENT_QUEUE_URL": urls[0], "DEAD_LETTER_QUEUE_URL": urls[1]}


@pytest.fixture(scope="module")
def watch(scratch, pool):
    """Address of a running `cargo lambda watch` on the data of `cargo local --demo`."""
    settings = development_settings()
    with demo(scratch, pool, settings) as seeded:
        folder = seeded.folder
    log = folder / "database.log"
    command = [built("local"), "--database-only", "--data", folder / "data"]
    with running(command, log, cwd=folder, env=clean_environment(**settings)) as database:
        wait_until(lambda: "cargo lambda watch" in log.read_text(), database, log, "there is no database")
        # The files that its instructions name for the environment.
        told = {}
        for name in ("dev.env", "database.env"):
            text = (folder / "data" / name).read_text()
            told |= dict(re.findall(r"^([A-Z_]+)='([^'\n]*)'$", text, re.MULTILINE))
        port, log = free_port(), folder / "watch.log"
        command = [CARGO_LAMBDA, "lambda", "watch", "-A", "127.0.0.1", "-P", port, "--ignore-changes", "--disable-cors"]
        environment = clean_environment(**told | settings | queues())
        with running(command, log, cwd=ROOT, env=environment) as process:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: requests.get(url, timeout=60).status_code, process, log, "cargo lambda watch does not start")
            yield url
        # pytest shows this after a failed test: a function that does not start logs its reason here.
        print("\n".join(log.read_text(errors="replace").splitlines()[-60:]))


def invoke(watch: str, function: str, payload: Path):
    address, port = watch.removeprefix("http://").split(":")
    command = [CARGO_LAMBDA, "lambda", "invoke", function, "-A", address, "-P", port, "--data-file", payload]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, f"{function} with {payload.name}: {found.stdout}{found.stderr}"
    return json.loads(found.stdout)


def test_cargo_lambdas_router_is_the_templates():
    metadata = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["metadata"]
    assert metadata["lambda"]["watch"]["router"] == template_routes()


def test_watch_answers_every_route_of_the_template_with_our_own_answer(watch):
    assert len(template_routes()) >= 12
    for path in template_routes():
        filled = re.sub(r"\{\w+\}", "some-id", path)
        answer = requests.post(f"{watch}{filled}", timeout=120)
        # The console and the callbacks of browsers need no credential either.
        pages = ("/", "/console/{file}", "/workspace/channels/slack/callback", "/workspace/integrations/callback")
        pages += ("/api/oauth/slack/callback", "/v1/integrations/connect/{linkId}", "/api/v1/integrations/connect/{linkId}")
        is_public = path.startswith("/health") or path in ("/openapi.json", "/docs", *pages)
        if path.startswith("/api/auth/"):
            # Some of these are open to a browser without a session: an empty request is refused for what it lacks, and
            # sign-out has no effect.
            wanted = {200} if path.endswith("/sign-out") else {401, 405, 415}
        else:
            wanted = {405 if is_public else 401}
        assert answer.status_code in wanted, f"{path}: {answer.status_code} {answer.text}"
        if answer.status_code == 200:
            continue
        assert answer.json()["requestId"] == answer.headers["x-request-id"], path
        if path.startswith("/health"):
            assert requests.get(f"{watch}{path}", timeout=30).json()["status"] == "ok", path


def test_invoke_takes_a_message_that_cargo_local_has_signed_and_refuses_the_one_that_lay_in_a_file(watch, scratch):
    stale = invoke(watch, "slack", EVENTS / "slack-message.json")
    assert stale["statusCode"] == 401, stale
    for body, secret, answer in (
        ("slack-message", "DEMO_SLACK_SIGNING_SECRET", {"ok": True}),
        ("slack-url-verification", "SLACK_SIGNING_SECRET", None),
    ):
        command = [built("local"), "--sign", EVENTS / f"{body}.body.json", "--with", secret]
        fresh = subprocess.run(
            command, cwd=scratch, env=clean_environment(**development_settings()), check=True, capture_output=True,
        )
        payload = scratch / f"{body}.fresh.json"
        payload.write_bytes(fresh.stdout)
        found = invoke(watch, "slack", payload)
        wanted = answer or json.loads((EVENTS / f"{body}.answer.json").read_text())["body"]
        assert (found["statusCode"], json.loads(found["body"])) == (200, wanted), found


def test_invoke_of_the_relay_delivers_to_the_pool(watch, pool):
    found = invoke(watch, "relay", EVENTS / "relay-message.json")
    assert found == {"batchItemFailures": []}
    assert pool.until("<@U00DEMOBOT> what's the way to the gatehouse?")
    assert invoke(watch, "relay", EVENTS / "relay-malformed.json") == {"batchItemFailures": []}


def test_invoke_gets_every_other_answer_that_is_written_beside_a_payload(watch):
    seen = set()
    # Deletions go last, because the other payloads are about the same rows.
    for written in sorted(EVENTS.glob("*.answer.json"), key=lambda file: (file.name.startswith("delete"), file.name)):
        answer = json.loads(written.read_text())
        name = written.name.removesuffix(".answer.json")
        # Left to events_files: payloads that need a signed-in person, a mail service or an id of an earlier answer.
        if answer["function"] in ("slack", "relay") or any(answer.get(need) for need in ("person", "artifact", "mail")):
            continue
        for before in answer.get("after", []):
            invoke(watch, json.loads((EVENTS / f"{before}.answer.json").read_text())["function"], EVENTS / f"{before}.json")
        found = invoke(watch, answer["function"], EVENTS / f"{name}.json")
        # Only the status is compared: events_files compares the values, which depend here on earlier payloads.
        assert found["statusCode"] == answer["status"], f"{name}: {found}"
        if isinstance(answer["body"], str):
            # A page, or a body longer than the recorded one.
            assert found["body"], name
        else:
            body = json.loads(found["body"]) if found.get("body") else None
            assert (body or {}).keys() == (answer["body"] or {}).keys(), f"{name}: {found}"
        seen.add(answer["function"])
    assert seen == {"auth", "internal", "skills", "v1"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_without_settings_names_each_and_does_not_start(function, scratch):
    found = subprocess.run(
        [built(function)], cwd=scratch, env=clean_environment(AWS_LAMBDA_RUNTIME_API="127.0.0.1:1", AWS_REGION="us-east-1"),
        capture_output=True, text=True, timeout=60, check=False,
    )
    assert found.returncode != 0
    named = [json.loads(line)["problem"] for line in found.stdout.splitlines() if '"problem"' in line]
    secret = "BETTER_AUTH_SECRET" if function == "auth" else "ENCRYPTION_KEY"
    assert any(secret in problem for problem in named), found.stdout
    assert any("TABLE_PREFIX" in problem for problem in named), found.stdout


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_does_not_start_while_secrets_manager_is_away(function, scratch):
    settings = {
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local", "SECRETS_PREFIX": "/portcullis/test/", "TABLE_PREFIX": "test-",
        "BETTER_AUTH_URL": "https://api.example.com", "MAIL_FROM": "portcullis@example.com",
        "POOL_CIDRS": "127.0.0.0/8", "EVENT_QUEUE_URL": "http://127.0.0.1:1/queue.fifo",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
    }
    found = subprocess.run(
        [built(function)], cwd=scratch, env=clean_environment(**settings), capture_output=True, text=True, timeout=60,
        check=False,
    )
    assert found.returncode != 0
    named = [json.loads(line)["problem"] for line in found.stdout.splitlines() if '"problem"' in line]
    own = "secret /portcullis/test/session" if function == "auth" else "secret /portcullis/test/keys/"
    away = [problem for problem in named if problem.startswith(own)]
    assert away and all(" could not be looked up" in problem for problem in away), named
