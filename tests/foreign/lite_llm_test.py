"""LiteLLM's own proxy creates and deletes the pools' keys by our requests.

Its application runs here with its own routes, request models, authorization by master key and errors; only its table of
keys is in memory, in the place of Postgres.
"""

import hashlib
import json
import os
import secrets
import threading
import time
from types import SimpleNamespace

# Set before the import: LiteLLM would otherwise download its list of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import pytest  # noqa: E402
import requests  # noqa: E402
import uvicorn  # noqa: E402
from conftest import PATIENCE, demo, free_port  # noqa: E402
from litellm.proxy import proxy_server  # noqa: E402
from litellm.proxy.utils import PrismaClient  # noqa: E402


class Row(SimpleNamespace):
    """A row as prisma's client returns it: JSON columns are parsed, and unset ones are empty."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def model_dump(self, **_):
        return dict(vars(self))


def read(value):
    return json.loads(value) if isinstance(value, str) and value.startswith(("{", "[")) else value


class Keys:
    """The table of keys, limited to the reads and writes of creating and deleting keys."""

    def __init__(self):
        self.rows = []

    async def find_many(self, where, **_):
        def fits(row, name, wanted):
            return getattr(row, name) in (wanted["in"] if isinstance(wanted, dict) else [wanted])

        return [row for row in self.rows if all(fits(row, name, wanted) for name, wanted in where.items())]

    async def find_first(self, where, **_):
        return next(iter(await self.find_many(where)), None)

    find_unique = find_first

    async def upsert(self, where, data, **_):
        row = await self.find_first(where)
        if row is None:
            row = Row(**{name: read(value) for name, value in data["create"].items()})
            self.rows.append(row)
        return row

    async def delete_many(self, where, **_):
        deleted = await self.find_many(where)
        self.rows = [row for row in self.rows if row not in deleted]
        return len(deleted)


class Nothing:
    """A table, or a query, without rows."""

    async def find_many(self, *_, **__):
        return []

    async def __call__(self, *_, **__):
        return None

    def __getattr__(self, _):
        return self


class Tables:
    def __init__(self):
        self.litellm_verificationtoken = Keys()

    def __getattr__(self, _):
        return Nothing()


@pytest.fixture(scope="module")
def lite_llm():
    client = object.__new__(PrismaClient)
    client.db = Tables()
    client.proxy_logging_obj = proxy_server.proxy_logging_obj
    proxy_server.prisma_client = client
    proxy_server.master_key = f"sk-not-a-real-key-{secrets.token_hex(16)}"
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(proxy_server.app, host="127.0.0.1", port=port, log_level="critical", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.started, "LiteLLM does not start"
    yield SimpleNamespace(
        url=f"http://127.0.0.1:{port}", keys=client.db.litellm_verificationtoken, master_key=proxy_server.master_key
    )
    server.should_exit = True
    thread.join(PATIENCE)


@pytest.fixture(scope="module")
def stack(scratch, pool, lite_llm):
    names = ("SLACK_SIGNING_SECRET", "DEMO_SLACK_SIGNING_SECRET", "DEMO_DELIVERY_SECRET")
    names += ("INTERNAL_API_TOKEN", "SKILL_API_TOKEN")
    settings = {name: secrets.token_hex(32) for name in names}
    settings |= {"LITELLM_BASE_URL": f"{lite_llm.url}/v1", "LITELLM_MASTER_KEY": lite_llm.master_key}
    with demo(scratch, pool, settings) as started:
        yield started


@pytest.fixture
def internal(stack):
    def call(method, path, **options):
        headers = {"x-internal-token": stack.settings["INTERNAL_API_TOKEN"]}
        return requests.request(method, f"{stack.url}/api/internal/pools{path}", headers=headers, timeout=30, **options)

    return call


def set_master_key(key: str):
    proxy_server.master_key = key
    # Simulates a restart, which LiteLLM needs to use a new master key.
    proxy_server.user_api_key_cache.flush_cache()
    proxy_server.user_api_key_cache.key_object_cache.flush_cache()


def living(lite_llm, pool) -> list:
    return [row for row in lite_llm.keys.rows if row.metadata["portcullis_pool"] == pool]


def test_a_key_is_made_for_a_pool_and_ended_with_it(internal, lite_llm):
    for name in ("pool-a", "pool b/é"):
        assert internal("POST", "/register", json={"poolId": name}).ok
        config = internal("GET", f"/{requests.utils.quote(name, safe='')}/config").json()
        key = config["models"]["providers"]["litellm"]["apiKey"]
        [row] = living(lite_llm, name)
        assert row.token == hashlib.sha256(key.encode()).hexdigest()
        assert (row.allowed_routes, row.user_id, row.team_id) == (["llm_api_routes"], None, None)
        for _ in range(2):
            ended = internal("POST", "/register", json={"poolId": name, "status": "terminated"})
            assert ended.ok, ended.text
            assert living(lite_llm, name) == []


def test_a_key_that_somebody_else_has_ended_counts_as_ended(internal, lite_llm):
    assert internal("POST", "/register", json={"poolId": "pool-c"}).ok
    assert internal("GET", "/pool-c/config").ok
    lite_llm.keys.rows = [row for row in lite_llm.keys.rows if row.metadata["portcullis_pool"] != "pool-c"]
    assert internal("POST", "/heartbeat", json={"poolId": "pool-c", "status": "terminated"}).ok


def test_a_master_key_that_lite_llm_does_not_know_makes_and_ends_nothing(internal, lite_llm):
    for name in ("pool-d", "pool-e"):
        assert internal("POST", "/register", json={"poolId": name}).ok
    assert internal("GET", "/pool-d/config").ok
    set_master_key("sk-another")
    for answer in (
        internal("GET", "/pool-e/config"),
        internal("POST", "/register", json={"poolId": "pool-d", "status": "terminated"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (502, "upstream_failed")
        assert lite_llm.master_key not in answer.text
    assert (len(living(lite_llm, "pool-d")), living(lite_llm, "pool-e")) == (1, [])
    set_master_key(lite_llm.master_key)
    assert internal("POST", "/register", json={"poolId": "pool-d", "status": "terminated"}).ok
    assert living(lite_llm, "pool-d") == []
