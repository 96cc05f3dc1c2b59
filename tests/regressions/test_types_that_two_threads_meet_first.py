"""What a hub answers is decoded into types that are complete when the client is imported.

msgspec completes a type when it is first used, and calls Python for it. Of two threads that came first together one
found the type half made, and the process died (msgspec 0.22): publishers in several threads did.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import sys
from touchline.client.hub import Key, Page, Published, _refusal
from touchline.client.hub_stream import _envelope
from touchline.feeds.shottracker.client import _decode
from touchline.wire.http import HttpResponse
import msgspec

completed = []

def watch(frame, event, argument):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        completed.append(frame.f_code.co_filename)

def first_use(what):
    sys.setprofile(watch)
    what()
    sys.setprofile(None)

class Control(msgspec.Struct):
    accepted: int

first_use(lambda: msgspec.json.decode(b'{"accepted":1}', type=Control))
assert completed, "completing a type is no longer seen: the test must look elsewhere"
completed.clear()
"""


@pytest.mark.parametrize(
    "use",
    [
        """msgspec.json.decode(b'{"accepted":1,"duplicates":0,"errors":[]}', type=Published)""",
        """msgspec.json.decode(b'{"events":[],"position":"x"}', type=Page)""",
        """msgspec.json.decode(b'{"id":"k","role":"admin"}', type=Key)""",
        """_refusal(HttpResponse(400, b'{"errors":[{"index":1,"field":"id","detail":"is missing"}]}', ()))""",
        """_envelope(b'{"type":"a.b"}')""",
        """_decode(b'{"type":"data","source":"shot","data":{}}', strict=True)""",
    ],
)
def test_no_type_is_completed_at_its_first_use(use: str) -> None:
    program = textwrap.dedent(PROGRAM) + f"first_use(lambda: {use})\nassert not completed, completed\n"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
