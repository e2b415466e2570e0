"""Registers a pool with the client generated from openapi.json."""

import os

from portcullis_client import AuthenticatedClient
from portcullis_client.api.public import get_health
from portcullis_client.api.runtime import get_latest_pool_config, register_pool
from portcullis_client.models import Error, Registered, Registration

client = AuthenticatedClient(base_url=os.environ["PORTCULLIS_URL"], token=os.environ["INTERNAL_API_TOKEN"])
registered = register_pool.sync(client=client, body=Registration(pool_id="pool-py", pod_ip="127.0.0.1"))
assert isinstance(registered, Registered) and registered.pool_id == "pool-py", registered
unknown = get_latest_pool_config.sync("nobody", client=client)
assert isinstance(unknown, Error) and unknown.code == "not_found", unknown
assert get_health.sync(client=client).status == "ok"
