"""The provider's own example of a receiver (shared/seeds/004_3d85648ec29a912b.txt), as it stands there; around it, a
port to listen on, and a word on stdout for what it decoded.

    python roanuz_receiver.py PORT

Prints {"listening":port} and then {"decoded":…} for every notification, in order of arrival.
"""

# ruff: noqa: E402, I001 - the provider's text keeps its form
# fmt: off

# ---- the example
from flask import Flask, request
import gzip
import io
import json
app = Flask(__name__)


@app.route('/', methods=['POST'])
def hello():
    print("Received")
    c_data = io.BytesIO(request.data)
    text_data = gzip.GzipFile(fileobj=c_data, mode='r')
    byte_str = text_data.read()
    dict_str = byte_str.decode("UTF-8")
    mydata = json.loads(dict_str)
    print(mydata)
    print("____")
    return 'Hello, World! {}'
# ---- the example ends
# fmt: on

import builtins
import sys
from typing import Any

from werkzeug.serving import make_server


def print(*words: Any) -> None:  # noqa: A001 - the example's own prints say what it decoded
    """What the example prints: its notification as JSON, everything else as it is."""
    shown = [json.dumps({"decoded": word}) if isinstance(word, dict) else word for word in words]
    builtins.print(*shown, flush=True)


server = make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True)
builtins.print(json.dumps({"listening": server.port}), flush=True)
server.serve_forever()
