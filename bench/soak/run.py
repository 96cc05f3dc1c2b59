"""One soak from beginning to end: who does what and when, on one seed."""

from __future__ import annotations

import contextlib
import pickle
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from bench.soak import world
from bench.soak.accounting import Count, endpoint, session
from bench.soak.faults import Role
from bench.soak.hub import HubUnderTest, quiet_port
from bench.soak.publishing import Acknowledged, Bursts, Trader, Venue, venues
from bench.soak.truth import Truth
from bench.soak.vitals import Vitals, summary
from bench.soak.world import EndpointPlan, Partner, Plan
from bench.worker import Worker
from touchline.client.hub import HubClient, HubRefused
from touchline.errors import UpstreamError
from touchline.model import Position
from touchline.wire import position as position_token

SETTINGS: Final[dict[str, object]] = {"sandbox_pace": 0.2, "retention": "0", "drain_seconds": 5.0}
LOADS: Final = 2
QUIET_SECONDS: Final = 25.0
KILLING_SHARE: Final = 2 / 3
"""In the last third the hub is left alone: only a long life shows whether its memory is flat."""
CATCH_UP_SECONDS: Final = 240.0
_ENDLESS: Final = float("inf")


class Options(NamedTuple):
    """What may be chosen. ``kill_seconds`` is between which two lengths a life of the hub lies; the last
    third of the time is without kills."""

    minutes: float
    seed: int
    sessions: int = 500
    endpoints: int = 60
    speed: float = 10.0
    kill_seconds: tuple[float, float] = (120.0, 240.0)


class Soak:
    """See the module docstring; ``run`` gives the result as a document."""

    def __init__(self, options: Options, scratch: Path, tell: Callable[[str], None]) -> None:
        self._options = options
        self._scratch = scratch
        self._tell = tell
        self._dice = random.Random(f"{options.seed}:times")
        self.hub = HubUnderTest(scratch / "data", SETTINGS, "--sandbox", "prophetx", "--allow-network", "127.0.0.0/8")
        self._stop = threading.Event()
        self._acknowledged = Acknowledged()
        self._loads: list[Worker] = []
        self._clients: list[HubClient] = []
        self._suspended: list[tuple[str, float]] = []
        self._rotated = 0
        self._lock = threading.Lock()

    def run(self) -> dict[str, Any]:
        """All of it."""
        with contextlib.ExitStack() as stack:
            self.hub.start()
            stack.callback(self.hub.terminate)
            admin = self._client("admin")
            stack.callback(self._close_clients)
            plan, receivers = self._prepare(admin, stack)
            vitals = Vitals(self.hub.running)
            vitals.start()
            feeding = self._feed(plan)
            stack.callback(self._stop.set)
            try:
                self._live(plan, admin)
            finally:
                self._stop.set()
                for one in feeding:
                    one.thread.join(120)
            problems = [f"{one.thread.name}: {one.problem!r}" for one in feeding if one.problem is not None]
            problems += [f"{one.thread.name} did not end" for one in feeding if one.thread.is_alive()]
            until = int(admin.status()["head"])
            self._settle(plan, admin, receivers)
            vitals.stop()
            truth, result = self._account(plan, admin, until, receivers)
            placed = {name for one in feeding if isinstance(one, Trader) for name in one.acknowledged}
            result["log"]["acknowledged_wagers_missing"] = len(placed - truth.wagers)
            result["vitals"] = summary(vitals.samples)
            result["problems"] += problems
            result["fed"] = self._fed(feeding)
        result["hub"] = {
            "kills": self.hub.exits.count(-9),
            "terminations": len(self.hub.exits) - self.hub.exits.count(-9) - 1,
            "exits": self.hub.exits,
            "seconds_to_ready": [round(one, 2) for one in self.hub.downs],
            "error_lines": self.hub.faults()[:20],
        }
        return result

    # before

    def _client(self, role: str, retry_seconds: float = 60.0) -> HubClient:
        client = HubClient(self.hub.url, self.hub.key(role), retry_seconds=retry_seconds)
        self._clients.append(client)
        return client

    def _close_clients(self) -> None:
        for client in self._clients:
            client.close()

    def _prepare(self, admin: HubClient, stack: contextlib.ExitStack) -> tuple[Plan, Worker]:
        options, seconds = self._options, self._options.minutes * 60
        partners = world.partners()
        for one in partners:
            one.credentials = admin.add_partner(one.name, one.feed)["credentials"]
        status = admin.status()
        plan = Plan(
            self.hub.url,
            options.seed,
            position_token.encode(Position(status["epoch"], 0)),
            time.monotonic(),
            partners,
            world.sessions(options.sessions, options.seed, seconds),
            world.endpoints(options.endpoints, options.seed, seconds),
        )
        file, port = self._scratch / "plan.json", quiet_port()
        file.write_bytes(msgspec.json.encode(plan))
        receivers = Worker("bench.soak.receivers", file, port, self._scratch / "receivers.notes", said=self._said)
        stack.callback(receivers.close)
        receivers.hear()
        for endpoint_plan in plan.endpoints:
            self._add(admin, endpoint_plan, port)
        self._wait_confirmed(admin)
        after = int(admin.status()["head"])
        for endpoint_plan in plan.endpoints:
            endpoint_plan.after = after
        plan.began = time.monotonic()
        receivers.tell(do="began", at=plan.began)
        file.write_bytes(msgspec.json.encode(plan))
        for part in range(LOADS):
            notes = self._scratch / f"sessions-{part}.notes"
            load = Worker("bench.soak.load", file, f"{part}/{LOADS}", notes, said=self._said)
            self._loads.append(load)
            stack.callback(load.close)
        return plan, receivers

    @property
    def _said(self) -> Path:
        return self._scratch / "workers.log"

    @staticmethod
    def _add(admin: HubClient, plan: EndpointPlan, port: int) -> None:
        url = f"http://127.0.0.1:{port}/{plan.name}"
        added = admin.endpoints.add(
            plan.partner, url, plan.feed, topics=plan.topics, label=plan.name[:60], options=plan.options
        )
        plan.id = added["endpoint"]

    @staticmethod
    def _wait_confirmed(admin: HubClient) -> None:
        end = time.monotonic() + 60
        while any(
            one["state"] != "confirmed" for shown in admin.endpoints.all() for one in shown.get("subscriptions", [])
        ):
            if time.monotonic() > end:
                raise SystemExit("the endpoints of insights did not confirm their topics")
            time.sleep(0.2)

    # during

    def _feed(self, plan: Plan) -> list[Venue | Bursts | Trader]:
        options = self._options

        def client() -> HubClient:
            return self._client("publisher", retry_seconds=0.0)

        feeding: list[Venue | Bursts | Trader] = list(
            venues(
                client, self._acknowledged, self._stop, seed=options.seed, speed=options.speed, begins=self._game_begins
            )
        )
        feeding.append(Bursts(client(), self._acknowledged, self._stop, options.seed))
        traders = [one for one in plan.partners if one.feed == "prophetx"][: world.TRADERS]
        feeding += [
            Trader(self.hub.url, lambda one=one: one, f"{options.seed}:{one.name}", self._stop)  # type: ignore[misc]
            for one in traders
        ]
        for one in feeding:
            one.thread.start()
        return feeding

    def _game_begins(self, court: str, game: str) -> None:
        with self._lock:
            for load in self._loads:
                load.tell(do="game", court=court, game=game)

    def _live(self, plan: Plan, admin: HubClient) -> None:
        """Kills, suspensions, rotations, until time is over."""
        dice, began, seconds = self._dice, plan.began, self._options.minutes * 60
        kills = self._kills(seconds)
        gentle = kills[len(kills) // 2] if kills else _ENDLESS
        change_at, told_at = dice.uniform(20, 40), 30.0
        while (now := time.monotonic() - began) < seconds:
            self.hub.check()
            if kills and now >= kills[0]:
                if kills.pop(0) == gentle:
                    self.hub.terminate()
                else:
                    self.hub.kill()
                self.hub.start()
                ended, down = self.hub.exits[-1], self.hub.downs[-1]
                self._tell(f"{now:6.0f} s: the hub was ended ({ended}) and was ready after {down:.1f} s")
            if now >= change_at:
                self._change(plan, admin)
                change_at = now + dice.uniform(20, 50)
            if now >= told_at:
                told_at += 30.0
                self._report(now)
            time.sleep(0.25)

    def _kills(self, seconds: float) -> list[float]:
        """When the hub is ended."""
        found: list[float] = []
        at = self._dice.uniform(*self._options.kill_seconds)
        while at < seconds * KILLING_SHARE:
            found.append(at)
            at += self._dice.uniform(*self._options.kill_seconds)
        return found

    def _change(self, plan: Plan, admin: HubClient) -> None:
        """A partner is suspended for a while, or gets new credentials."""
        dice = self._dice
        partner = dice.choice(plan.partners)
        try:
            if dice.random() < 0.5:
                admin.suspend(partner.name)
                self._suspended.append((partner.name, time.monotonic()))
                time.sleep(dice.uniform(3, 12))
                admin.resume(partner.name)
            else:
                self._rotate(admin, partner)
        except HubRefused:
            raise
        except UpstreamError as problem:
            self._tell(f"  a change was not made: {problem}")

    def _rotate(self, admin: HubClient, partner: Partner) -> None:
        partner.credentials = admin.rotate(partner.name, partner.feed)["credentials"]
        self._rotated += 1
        with self._lock:
            for load in self._loads:
                load.tell(do="partner", partner=partner)

    def _report(self, now: float) -> None:
        with self._lock:
            for load in self._loads:
                load.tell(do="report")
            told = [load.hear() for load in self._loads]
        messages, is_open = (sum(one[name] for one in told) for name in ("messages", "open"))
        problems = [text for one in told for text in one["problems"]]
        self._tell(f"{now:6.0f} s: {messages} messages at {is_open} open sessions; problems {problems}")

    # after

    def _settle(self, plan: Plan, admin: HubClient, receivers: Worker) -> None:
        """Everybody behaves, and those who can catch up."""
        for load in self._loads:
            load.tell(do="settle")
        receivers.tell(do="settle")
        began = time.monotonic()
        mended = [one for one in plan.endpoints if one.role in (Role.FAILING, Role.BLACK)]
        for one in mended:
            admin.endpoints.resume(one.id)
        waiting = [one for one in plan.endpoints if one.role not in (Role.REFUSING, Role.GONE)]
        while waiting and time.monotonic() < began + CATCH_UP_SECONDS:
            time.sleep(1.0)
            waiting = [one for one in waiting if self._is_behind(admin.endpoints.show(one.id))]
        self._tell(f"settled after {time.monotonic() - began:.0f} s; behind: {[one.name for one in waiting]}")
        time.sleep(max(0.0, began + QUIET_SECONDS - time.monotonic()))

    @staticmethod
    def _is_behind(shown: dict[str, Any]) -> bool:
        """Whether it lacks something that is not of the last moment: the exchange goes on."""
        return bool(shown["backlog"]) and (shown["oldest_undelivered_seconds"] or 0.0) > 3.0

    def _account(self, plan: Plan, admin: HubClient, until: int, receivers: Worker) -> tuple[Truth, dict[str, Any]]:
        for worker in (*self._loads, receivers):
            worker.tell(do="stop")
        # What was in flight to the receivers when they ended is not owed: the account ends at ``until``.
        for worker in (*self._loads, receivers):
            worker.hear()
        reports = {one["endpoint"]: one for one in admin.endpoints.all()}
        dead = {
            one.id: frozenset(letter["offset"] for letter in admin.endpoints.dead_letters(one.id))
            for one in plan.endpoints
            if reports[one.id]["dead_letters"]
        }
        self._tell("reading the log …")
        truth = Truth.read(admin)
        partners = {one.name: one for one in plan.partners}
        by_kind: dict[str, Count] = {}
        figures: dict[str, Any] = {
            "connections": 0,
            "drops": 0,
            "vanished": 0,
            "broken": 0,
            "messages": 0,
            "states": 0,
            "gaps": 0,
        }
        codes: dict[str, int] = {}
        problems: list[str] = []
        for part in range(LOADS):
            for notes in pickle.loads((self._scratch / f"sessions-{part}.notes").read_bytes()):
                count = session(notes, truth, partners, until)
                self._add_up(by_kind, notes["plan"].kind, count)
                if count.faults:
                    problems.append(f"{notes['plan'].name} ({notes['plan'].behaviour}): {count}")
                problems += [f"{notes['plan'].name}: {text}" for text in notes["problems"][:2]]
                for name in figures:
                    figures[name] += notes[name]
                for name, times in notes["breaks"].items():
                    codes[f"broken {name}"] = codes.get(f"broken {name}", 0) + times
                for said, times in notes.get("said", {}).items():
                    codes[f"said {said}"] = codes.get(f"said {said}", 0) + times
                for code, times in notes["codes"].items():
                    codes[str(code)] = codes.get(str(code), 0) + times
                for status, times in notes["refusals"].items():
                    codes[f"refused {status}"] = codes.get(f"refused {status}", 0) + times
        by_feed: dict[str, Count] = {}
        plans = {one.name: one for one in plan.endpoints}
        for notes in pickle.loads((self._scratch / "receivers.notes").read_bytes()):
            one = plans[notes["name"]]
            suspended = [at for name, at in self._suspended if name == one.partner]
            count = endpoint(
                one, notes, truth, reports[one.id], dead.get(one.id, frozenset()), until, self.hub.lives, suspended
            )
            self._add_up(by_feed, one.feed, count)
            if count.faults:
                problems.append(f"{one.name}: {count} {reports[one.id]['state']}")
            problems += [f"{one.name}: {text}" for text in notes["problems"][:2]]
        lost = self._acknowledged.ids - truth.ids
        return truth, {
            "seed": self._options.seed,
            "minutes": self._options.minutes,
            "who": world.document(plan),
            "log": {
                "records": len(truth.entries),
                "states": truth.states,
                "acknowledged": len(self._acknowledged.ids),
                "acknowledged_lost": len(lost),
                "stored_twice": truth.twice,
                "seq_holes": truth.holes,
            },
            "sessions": {kind: msgspec.to_builtins(count) for kind, count in by_kind.items()},
            "session_figures": figures | {"ends": dict(sorted(codes.items()))},
            "endpoints": {feed: msgspec.to_builtins(count) for feed, count in by_feed.items()},
            "faults": sum(count.faults for count in (*by_kind.values(), *by_feed.values())),
            "problems": problems,
        }

    @staticmethod
    def _add_up(counts: dict[str, Count], name: str, count: Count) -> None:
        counts.setdefault(name, Count()).add(count)

    def _fed(self, feeding: list[Venue | Bursts | Trader]) -> dict[str, Any]:
        bursts = [one for one in feeding if isinstance(one, Bursts)]
        played = [one for one in feeding if isinstance(one, Venue)]
        return {
            "games": sum(one.games for one in played),
            "states_dropped_while_away": sum(one.dropped for one in played),
            "bursts": sum(one.bursts for one in bursts),
            "burst_events": sum(one.events for one in bursts),
            "wagers_placed": sum(len(one.acknowledged) for one in feeding if isinstance(one, Trader)),
            "requests_repeated": self._acknowledged.repeated,
            "recognised_as_duplicates": self._acknowledged.duplicates,
            "events_refused": self._acknowledged.refused,
            "suspensions": len(self._suspended),
            "rotations": self._rotated,
        }
