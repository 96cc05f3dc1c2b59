"""The provider's own example of request signing (shared/seeds/000_7de013f4cf6f65ae.txt), as it stands there except that
host and path are arguments and the indentation that the page lost is put back. Below it, the request is sent as the
example's last comment says, to the address given first.

    EVENT_USERNAME=… EVENT_SECRET=… python seed_signer.py http://127.0.0.1:8080 host path [query]

Prints {"status":…,"body":"…"}.
"""

# ruff: noqa: E402, E501, I001, UP017 - the provider's text keeps its form
# fmt: off
import sys

# ---- the example
import hmac
import base64
import os
from datetime import datetime, timezone

username = os.environ.get("EVENT_USERNAME")
secret = os.environ.get("EVENT_SECRET").encode("utf-8")
host = sys.argv[2]
path_only = sys.argv[3]  # no query string
method = "GET"
date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
request_line = f"{method} {path_only} HTTP/1.1"
string_to_sign = f"date: {date}\nhost: {host}\n{request_line}"
signature = base64.b64encode(
    hmac.new(secret, string_to_sign.encode("utf-8"), "sha1").digest()
).decode("ascii")
authorization = f'hmac username="{username}",algorithm="hmac-sha1",headers="date host request-line",signature="{signature}"'
# Send headers: date, host, Authorization
# ---- the example ends
# fmt: on

import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

query = f"?{sys.argv[4]}" if len(sys.argv) > 4 else ""
with closing(http.client.HTTPConnection(urlsplit(sys.argv[1]).netloc, timeout=15)) as connection:
    connection.request(method, path_only + query, headers={"date": date, "host": host, "Authorization": authorization})
    response = connection.getresponse()
    print(json.dumps({"status": response.status, "body": response.read().decode()}))
