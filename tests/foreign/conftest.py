"""Shared fixtures of the Python suites: processes that are cleaned up, free ports, a stand-in pool, the system itself.
"""

import json
import os
import queue
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
EVENTS = ROOT / "events"
# Time-out of a program's start, in seconds.
PATIENCE = 60


# Handle SIGTERM like Ctrl-C, so that child processes are ended; Python would leave them running.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def built(name: str) -> Path:
    """A program built by `run`."""
    found = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"],
        cwd=ROOT, check=True, capture_output=True,
    )
    return Path(json.loads(found.stdout)["target_directory"]) / "debug" / name


def clean_environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings that a function would read."""
    ours = ("SECRETS_PREFIX", "TABLE_PREFIX", "ENCRYPTION_KEY", "ENCRYPTION_KEYS", "EVENT_QUEUE_URL", "POOL_CIDRS")
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.endswith("_TOKEN")}
    return kept | settings


@contextmanager
def running(command: list, log: Path, **options):
    """A program that runs inside the block and is ended after it, with all its children."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        for ending in (signal.SIGINT, signal.SIGKILL):
            try:
                os.killpg(process.pid, ending)
                process.wait(timeout=15)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


def wait_until(happened, process: subprocess.Popen, log: Path, what: str):
    """Polls `happened` until it returns a true value, while `process` runs."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if outcome := happened():
                return outcome
        except requests.ConnectionError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.05)
    last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
    pytest.fail(f"{what}; the end of its log:\n{last_lines}")


@pytest.fixture(scope="session")
def scratch():
    folder = Path(tempfile.mkdtemp(prefix="portcullis-foreign-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Delivery:
    """A request received by the stand-in pool."""

    path: str
    headers: dict[str, str]
    body: bytes

    def text(self) -> str:
        return json.loads(self.body)["event"].get("text", "")


class StandInPool:
    """A stand-in for a pool's gateway that records its deliveries."""

    def __init__(self):
        arrived = self.arrived = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                arrived.put(Delivery(self.path, headers, body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def until(self, text: str) -> list[Delivery]:
        """All deliveries up to the one with this text, which must be the last."""
        arrived = []
        deadline = time.monotonic() + PATIENCE
        while not (arrived and arrived[-1].text() == text):
            try:
                arrived.append(self.arrived.get(timeout=max(0.1, deadline - time.monotonic())))
            except queue.Empty:
                pytest.fail(f"{text!r} does not arrive, only {[delivery.text() for delivery in arrived]}")
        return arrived

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="session")
def pool():
    pool = StandInPool()
    yield pool
    pool.close()


@dataclass(frozen=True)
class Demo:
    """`cargo local --demo`, its data, and the secrets that it was started with."""

    url: str
    folder: Path
    settings: dict[str, str]


@contextmanager
def demo(scratch: Path, pool: StandInPool, settings: dict[str, str]):
    """Starts `cargo local --demo` and waits for the arrival of its own message."""
    port, folder = free_port(), Path(tempfile.mkdtemp(dir=scratch))
    log = folder / "demo.log"
    command = [built("local"), "--demo", "--demo-pool", pool.address, "--port", port, "--data", folder / "data", "--json"]
    # Discard deliveries from another suite's stack.
    while not pool.arrived.empty():
        pool.arrived.get_nowait()
    with running(command, log, cwd=folder, env=clean_environment(**settings)) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: requests.get(f"{url}/health", timeout=5).ok, process, log, "cargo local does not start")
        wait_until(lambda: not pool.arrived.empty(), process, log, "the demonstration's own message does not arrive")
        yield Demo(url, folder, settings)


@pytest.fixture(scope="module")
def stack(scratch, pool):
    names = ("SLACK_SIGNING_SECRET", "DEMO_SLACK_SIGNING_SECRET", "DEMO_DELIVERY_SECRET")
    names += ("INTERNAL_API_TOKEN", "SKILL_API_TOKEN")
    with demo(scratch, pool, {name: secrets.token_hex(32) for name in names}) as started:
        yield started
