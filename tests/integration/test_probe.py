from .hubs import *
import time


def test_probe(make_hub):
    t = time.time()
    hub = make_hub()
    print("start", time.time() - t)
    a = hub.publish(encoded())
    print(a)
    for tm in (
        "9999-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "2262-04-12T00:00:00Z",
        "1600-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:60Z",
    ):
        print(tm, hub.publish(encoded(time=tm)))
    print(
        hub.publish(
            b'{"specversion":"1.0","id":"z","source":"/v","type":"shottracker.a\\u0000b","subject":"s","data":{}}'
        )
    )
    print(
        hub.publish(
            b'{"specversion":"1.0","id":"z2","source":"/v","type":"shottracker.'
            + b"x" * 5000
            + b'","subject":"s","data":{}}'
        )
    )
    print(hub.get("/hub/v1/events?limit=000000001" + "0" * 5000, hub.admin_key))
    print(hub.get("/hub/v1/events?limit=0000000019999", hub.admin_key).status)
    for raw in (
        b"GET * HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET http://x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET //:99999999 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET http://x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /hub/v1/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /hub/v1/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"GET /hub/v1/ws HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nGET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    ):
        try:
            with hub.connect() as s:
                s.settimeout(3)
                s.sendall(raw)
                got = b""
                while True:
                    d = s.recv(65536)
                    if not d:
                        break
                    got += d
                print(raw[:50], "->", got[:300], got[-100:])
        except Exception as e:
            print(raw[:50], "EXC", repr(e), got[:100])
    print(hub.errors)
    hub.errors.clear()
