"""The provider's own example of subscribing (shared/seeds/004_3d85648ec29a912b.txt), as it stands there except that the
base address and the three keys are arguments.

    python roanuz_subscribe.py http://127.0.0.1:8080 PROJECT_KEY TOKEN MATCH_KEY
"""

# ruff: noqa: UP032 - the provider's text keeps its form
# fmt: off
import sys

# ---- the example
import requests

project_key = sys.argv[2]
token = sys.argv[3]
match_key = sys.argv[4]
url = sys.argv[1] + "/v5/cricket/{}/match/{}/updates-subscribe/".format(project_key,match_key)
headers = {
    'rs-token': token
}
payload = {
    'method': "web_hook"
}
response = requests.post(url, headers=headers, json=payload)

print(response.json())
