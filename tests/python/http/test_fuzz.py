"""Fuzz of the HTTP API against the daemon, by its description in server/http/web/openapi.json.

Requests are drawn from the description's schemas: valid ones, ones with a member changed, ones whose text or HTTP
is broken, in any order on sessions that exist, by several callers at once. Whatever comes: no status of 500 and
above but 503 and 504, every answer is as described, none takes long, what is wrong is refused, and at the end the
daemon is at rest, as large as before, and stops.

SSMD_FUZZ_SECONDS (default 15) or SSMD_HTTP_CASES end it; SSMD_FUZZ_SEED draws the same cases again.
"""

import contextlib
import json
import os
import re
import threading
import time
from collections import Counter, deque
from random import Random
from urllib.parse import quote

import fuzz_raw
import pytest
from fuzz_daemon import ROOT, TOKENS, FuzzDaemon, bearer
from fuzz_description import Description, Wrong, strict_json, without_nulls
from fuzz_values import Values
from fuzz_wire import Closed, Malformed, Peer, as_bytes_command, as_curl, request_bytes

SECONDS = float(os.environ.get("SSMD_FUZZ_SECONDS", "15"))
CASES = int(os.environ.get("SSMD_HTTP_CASES", "0"))
SEED = int(os.environ.get("SSMD_FUZZ_SEED", "0") or 0) or Random().randrange(1, 10**6)
WORKERS = 3
# What a warm daemon may grow by: its caches are bounded by its arguments, the rest is the allocator's.
GROWTH_BYTES = 48 << 20
WARM_SHARE = 0.25
KEPT_SESSIONS = 60
BYTES = ("Content-Type", "application/octet-stream")


class Pool:
    """What there is to ask about, of all callers of a tenant together."""

    def __init__(self):
        self.sessions = deque(maxlen=KEPT_SESSIONS)
        self.answers = deque(maxlen=KEPT_SESSIONS)
        self.snapshots = deque(maxlen=4)
        self.others = None  # another tenant's

    def session(self, random):
        kept = list(self.sessions)
        if not kept or random.random() < 0.08:
            return random.choice(("0" * 32, "new", "", "x" * 300, "%00", "..", "A" * 32, "import"))
        if random.random() < 0.06 and (foreign := list(self.others.sessions)):
            return random.choice(foreign)
        return random.choice(kept)

    def answer(self, random):
        kept = list(self.answers)
        if not kept or random.random() < 0.08:
            revision = "99999999999999999999"
            return random.choice((f"cmpl-{'0' * 32}-1", "", "x", "-", "cmpl-1", f"resp_{'a' * 32}-{revision}"))
        if random.random() < 0.06 and (foreign := list(self.others.answers)):
            return random.choice(foreign)
        return random.choice(kept)

    def learn(self, value):
        if not isinstance(value, dict):
            return
        for one in (value, *(value.get("data") or ())):
            if isinstance(one, dict) and one.get("object") == "session" and one["id"] not in self.sessions:
                self.sessions.append(one["id"])
        report = value.get("ssmd")
        if isinstance(report, dict) and report.get("session_id"):
            self.sessions.append(report["session_id"])
            self.answers.append(value.get("id") or "")
        for choice in value.get("choices") or ():
            if "ssmd" in choice:
                self.answers.append(choice["ssmd"]["id"])
                self.sessions.append(choice["ssmd"]["session_id"])
        if isinstance(value.get("response"), dict):
            self.learn(value["response"])

    def forget(self, session_id):
        with contextlib.suppress(ValueError):
            self.sessions.remove(session_id)

    def has(self, text):
        """Whether one of the sessions is named there, in an answer's id or by its own."""
        return any(session in text for session in list(self.sessions))


class Worker:
    """One caller."""

    def __init__(self, fuzz, number):
        self.fuzz = fuzz
        self.tenant = "two" if number == WORKERS - 1 else "one"
        self.pool = fuzz.pools[self.tenant]
        self.number = number
        self.peer = None
        self.statuses = Counter()
        self.cases = 0
        self.past = deque(maxlen=12)

    def run(self):
        while self.fuzz.goes_on():
            self.random = Random(f"{SEED}/{self.number}/{self.cases}")
            self.values = Values(self.random, self.fuzz.description, self.pool)
            self.command = "(nothing was sent)"
            self.label = ""
            try:
                self.one()
            except Wrong as error:
                self.found(str(error))
            except TimeoutError:
                self.found("no answer in time")
            except Malformed as error:
                self.found(f"no HTTP: {error}")
            except (Closed, ConnectionError) as error:
                self.found(f"no answer: {error}")
            except Exception as error:
                self.found(f"the test itself failed: {error!r}")
                raise
            finally:
                self.cases += 1
        self.leave()

    def found(self, what):
        self.leave()
        self.fuzz.found(self.label, what, self.command, f"case {self.number}/{self.cases} of seed {SEED}", self.past)

    def leave(self):
        if self.peer is not None:
            self.peer.close()
        self.peer = None

    def connected(self):
        if self.peer is None:
            self.peer = Peer(self.fuzz.daemon.port)
        return self.peer

    def one(self):
        draw = self.random.random()
        if draw < 0.42:
            self.described("valid")
        elif draw < 0.66:
            self.described("changed")
        elif draw < 0.76:
            self.described("spoilt")
        elif draw < 0.80:
            self.snapshot()
        elif draw < 0.86:
            self.left()
        elif draw < 0.90:
            self.together()
        else:
            self.raw()

    # --- Requests as they are described ---

    def drawn(self, kind):
        """(operation, method, target, body, headers, whether it must be refused)."""
        operations = [o for o in self.fuzz.description.operations if o.path != "/v1/sessions/import"]
        weights = [
            6 if o.path in ("/v1/completions", "/v1/chat/completions", "/v1/responses") else 3 if o.body else 1
            for o in operations
        ]
        if len(self.pool.sessions) >= KEPT_SESSIONS:
            weights = [w * 6 if o.method == "DELETE" else w for o, w in zip(operations, weights, strict=True)]
        operation = self.random.choices(operations, weights)[0]
        method, target = operation.method, operation.path
        for parameter in operation.parameters:
            value = self.values.of(parameter["schema"], parameter["name"])
            if parameter["in"] == "path":
                plain = str(value).replace("/", "") or "x"
                target = target.replace("{%s}" % parameter["name"], quote(plain, safe=""))
            elif self.random.random() < 0.5:
                if kind != "valid" and self.random.random() < 0.3:
                    value = self.random.choice(("-1", "1001", "x", "", "0x1", "99999999999", " 1", "é", "a" * 300))
                target += ("&" if "?" in target else "?") + f"{parameter['name']}={quote(str(value))}"
        body, headers, is_wrong = None, [bearer(self.tenant)], False
        if operation.request_schema:
            value = self.values.request(operation)
            if kind == "changed":
                value = self.values.changed(value)
            try:
                operation.is_valid_request(without_nulls(value))
            except Exception:  # noqa: BLE001 (which of the library's does not matter)
                is_wrong = True
            body = json.dumps(value).encode()
            if kind == "spoilt":
                body = self.values.spoilt(body)
                is_wrong = not is_json(body) and (body != b"" or operation.body["required"])
            headers.append(fuzz_raw.JSON)
            if kind == "changed" and self.random.random() < 0.03:
                headers[1:] = self.random.choice(([], [BYTES], [("Content-Type", "text/plain")]))
                is_wrong = True
        elif method == "GET" and self.random.random() < 0.1:
            method = "HEAD"
        if kind == "changed" and self.random.random() < 0.03:
            token = self.random.choice(
                ("", "Bearer", "Bearer ", "Basic b25lOng=", "Bearer token-of-tenant-on", "bearer x")
            )
            headers[:1] = self.random.choice(([], [("Authorization", token)], headers[:1] * 2))
            is_wrong = operation.path.startswith("/v1/")
        return operation, method, target, body, headers, is_wrong

    def described(self, kind):
        operation, method, target, body, headers, is_wrong = self.drawn(kind)
        self.label = operation.name
        self.command = as_curl(method, target, body, headers)
        answer = self.ask(request_bytes(method, target, body, headers), method == "HEAD")
        self.judged(operation, method, target, answer, body, is_wrong)
        if kind == "valid" and operation.request_schema:
            self.fuzz.valid[answer.status < 300] += 1

    def ask(self, data, is_head=False):
        self.past.append(self.command)
        fresh = self.peer is None
        peer = self.connected()
        try:
            peer.send(data)
            answer = peer.answer(is_head)
        except (Closed, ConnectionError) as error:
            # Between two requests the daemon may have closed it; there is nothing of an answer then.
            if fresh or peer.buffer or isinstance(error, Closed) and "before" in str(error):
                raise
            self.leave()
            return self.ask(data, is_head)
        if answer.closes:
            self.leave()
        return answer

    def judged(self, operation, method, target, answer, body=None, is_wrong=False):
        # A path may mean something else once its values stand in it.
        operation = self.fuzz.description.operation_of(method, target.split("?")[0]) or operation
        self.statuses[operation.name, answer.status] += 1
        if answer.status >= 500 and answer.status not in (503, 504):
            raise Wrong(f"status {answer.status}: {answer.body[:300]!r}")
        value = self.fuzz.description.check_answer(operation, answer, method == "HEAD")
        if is_wrong and answer.status < 400:
            raise Wrong(f"status {answer.status} to a request that the description does not allow")
        if answer.status == 400 and answer.media_type == "text/plain":
            raise Wrong(f"status 400 to a request that is HTTP: {answer.body[:80]!r}")
        if answer.status == 400 and (param := value and value["error"]["param"]):
            self.must_name(operation, param, body)
        if answer.status < 400 and self.pool.others.has(target.split("?")[0]):
            raise Wrong("another tenant's session is answered for")
        for one in value if isinstance(value, list) else (value,):
            self.pool.learn(one)
        if answer.status == 200 and method == "DELETE":
            self.pool.forget(value["id"])
        if answer.status == 200 and isinstance(value, dict) and "usage" in value:
            self.add_up(value, body)

    def must_name(self, operation, param, body):
        """An error's param is one of the description, or of the request."""
        root = re.split(r"[.\[]", param)[0]
        known = [parameter["name"] for parameter in operation.parameters]
        if operation.request_schema:
            known += self.fuzz.description.found(operation.request_schema)["properties"]
        if root not in known and json.dumps(root)[1:-1].encode() not in (body or b""):
            raise Wrong(f"an error about {param}, which the request cannot have")

    def add_up(self, value, body):
        """An answer's figures go together, and with the request's."""
        asked = without_nulls(strict_json(body))
        usage = value["usage"]
        if "choices" in value:
            sent, read = usage["completion_tokens"], usage["prompt_tokens"]
            choices = asked.get("n", 1)
            if [choice["index"] for choice in value["choices"]] != list(range(choices)):
                raise Wrong(f"{len(value['choices'])} choices, of {choices}")
            most = asked.get("max_completion_tokens", asked.get("max_tokens", 16 if "prompt" in asked else 64))
        else:
            sent, read, choices = usage["output_tokens"], usage["input_tokens"], 1
            most = asked.get("max_output_tokens", 64)
        if usage["total_tokens"] != sent + read or sent > most * choices:
            raise Wrong(f"{sent} of at most {most} tokens in each of {choices} choices: {usage}")

    # --- Others ---

    def snapshot(self):
        """An export, or an import of one, whole or spoilt."""
        description, pool, token = self.fuzz.description, self.pool, [bearer(self.tenant)]
        if not pool.snapshots or self.random.random() < 0.4:
            target = f"/v1/sessions/{quote(pool.session(self.random), safe='') or 'x'}/export"
            self.label, self.command = "GET /v1/sessions/{id}/export", as_curl("GET", target, None, token)
            answer = self.ask(request_bytes("GET", target, headers=token))
            self.judged(description.operation_of("GET", target), "GET", target, answer)
            if answer.status == 200 and answer.media_type == BYTES[1]:
                pool.snapshots.append(answer.body)
            if not pool.snapshots or self.random.random() < 0.5:
                return
        whole = self.random.choice(list(pool.snapshots))
        data, at = whole, self.random.randrange(len(whole))
        kind = self.random.randrange(6)
        if kind == 0:
            data = whole[:at]
        elif kind == 1:
            data = whole[:at] + bytes([whole[at] ^ 1 << self.random.randrange(8)]) + whole[at + 1 :]
        elif kind == 2:
            data = self.random.randbytes(self.random.randrange(200))
        elif kind == 3:
            data = whole[:200] + whole[at:]
        asked = self.random.choice(("", "?model=demo", "?rebuild=true", "?allow_inexact=1", "?rebuild=2", "?model=x"))
        target = f"/v1/sessions/import{asked}"
        self.label = "POST /v1/sessions/import"
        curl = as_curl("POST", target, data[:64], [*token, BYTES])
        self.command = f"(of a snapshot of {len(whole)} bytes, in way {kind} at {at}) {curl}"
        answer = self.ask(request_bytes("POST", target, data, [*token, BYTES]))
        is_wrong = data != whole or asked in ("?rebuild=2", "?model=x")
        self.judged(description.operation_of("POST", "/v1/sessions/import"), "POST", target, answer, None, is_wrong)
        if not is_wrong and answer.status not in (200, 429):
            raise Wrong(f"status {answer.status} to a snapshot as it was exported")

    def left(self):
        """A caller that goes away within its request, or within its answer."""
        self.leave()
        _, method, target, body, headers, _ = self.drawn(self.random.choice(("valid", "changed")))
        if self.random.random() < 0.5:
            method, target, headers = "POST", "/v1/completions", [bearer(self.tenant), fuzz_raw.JSON]
            body = b'{"prompt":"Once upon a time","max_tokens":64,"stream":true,"ignore_eos":true}'
        data = request_bytes(method, target, body, headers)
        self.label = "a caller that leaves"
        self.command = as_curl(method, target, body, headers)
        peer = self.connected()
        if self.random.random() < 0.3:
            peer.send(data[: self.random.randrange(len(data))])
        else:
            peer.send(data)
            if self.random.random() < 0.6:
                peer.receive()
        if self.random.random() < 0.5:
            peer.reset()
            self.peer = None
        self.leave()

    def together(self):
        """Several requests on one connection, not waiting for answers, in pieces that are cut anywhere."""
        self.leave()
        asked = []
        for _ in range(self.random.randrange(2, 6)):
            asked.append(self.drawn(self.random.choice(("valid", "changed"))))
        data = b"".join(request_bytes(method, target, body, headers) for _, method, target, body, headers, _ in asked)
        self.label = "requests in a row"
        self.command = as_bytes_command(data)
        self.past.append(self.command)
        peer = self.connected()
        at = 0
        cuts = sorted(self.random.randrange(len(data)) for _ in range(self.random.choice((0, 1, 3, 8))))
        sender = threading.Thread(target=self._send_pieces, args=(peer, data, cuts))
        sender.start()
        try:
            for at, (operation, method, target, body, _, is_wrong) in enumerate(asked):
                answer = peer.answer(method == "HEAD")
                self.label = f"requests in a row: {operation.name}"
                self.judged(operation, method, target, answer, body, is_wrong)
                if answer.closes:
                    break
        except (Closed, ConnectionError) as error:
            raise Closed(f"{error}, after {at} of {len(asked)} answers") from error
        finally:
            sender.join()
            self.leave()

    @staticmethod
    def _send_pieces(peer, data, cuts):
        try:
            for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
                peer.send(data[start:end])
        except OSError:
            pass  # it was closed by the other side, which the answers tell

    def raw(self):
        self.leave()
        kind = self.random.choice(("refused", "refused", "odd", "cut"))
        if kind == "odd":
            method, data = fuzz_raw.odd(self.random)
            data = self.with_token(data)
            self.label, self.command = "odd HTTP", as_bytes_command(data)
            answer = self.ask(data, method == "HEAD")
            self.statuses["odd HTTP", answer.status] += 1
            self.must_be_orderly(answer)
            return
        data = self.with_token(getattr(fuzz_raw, kind)(self.random))
        self.label, self.command = f"{kind} HTTP", as_bytes_command(data)
        self.past.append(self.command)
        peer = self.connected()
        try:
            peer.send(data)
        except ConnectionError:
            pass  # it has seen enough
        peer.end_sending()
        count = 0
        try:
            while peer.buffer or peer.receive():
                answer = peer.answer(is_head=data.startswith(b"HEAD"))
                self.statuses[self.label, answer.status] += 1
                self.must_be_orderly(answer)
                if answer.status < 400:
                    raise Wrong(f"status {answer.status} to what is no request")
                count += 1
                if count > 3:
                    raise Wrong("more than three answers")
                if answer.closes:
                    break
        finally:
            self.leave()
        if not count:
            self.statuses[self.label, 0] += 1

    def with_token(self, data):
        line = "\r\n{}: {}\r\n".format(*bearer(self.tenant)).encode()
        return re.sub(rb"(?i)(\r\nhost: ?localhost)\r\n", lambda found: found[1] + line, data, count=1)

    @staticmethod
    def must_be_orderly(answer):
        if answer.status >= 500 and answer.status not in (503, 504):
            raise Wrong(f"status {answer.status}: {answer.body[:300]!r}")


def is_json(data):
    try:
        strict_json(data)
    except ValueError:
        return False
    except RecursionError:
        return True
    return True


class Fuzz:
    def __init__(self, daemon, description):
        self.daemon = daemon
        self.description = description
        self.pools = {tenant: Pool() for tenant in TOKENS}
        self.pools["one"].others, self.pools["two"].others = self.pools["two"], self.pools["one"]
        self.valid = Counter()
        self.findings = {}
        self.lock = threading.Lock()
        self.workers = [Worker(self, number) for number in range(WORKERS)]
        self.started_at = time.monotonic()
        self.warm_bytes = None

    def goes_on(self):
        done = self.cases() / CASES if CASES else (time.monotonic() - self.started_at) / SECONDS
        if self.warm_bytes is None and done >= WARM_SHARE:
            self.warm_bytes = self.daemon.resident_bytes()
        return done < 1 and self.daemon.is_alive()

    def cases(self):
        return sum(worker.cases for worker in self.workers)

    def found(self, label, what, command, where, past):
        # The same once, whatever its figures and texts.
        key = label, re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "_", what)[:120]
        with self.lock:
            if key in self.findings:
                self.findings[key][0] += 1
                return
            self.findings[key] = [1, f"{label}: {what}\n  {where}\n  {command}"]
            if not self.daemon.is_alive():
                before = "\n    ".join(past)
                self.findings[key][1] += (
                    f"\n  the daemon is dead; before:\n    {before}\n  log: {self.daemon.log_end()}"
                )

    def run(self):
        threads = [threading.Thread(target=worker.run) for worker in self.workers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - self.started_at

    def report(self, seconds):
        statuses = sum((worker.statuses for worker in self.workers), Counter())
        print(f"seed {SEED}: {self.cases()} cases in {seconds:.1f} s, {self.cases() / seconds:.0f} a second")
        print(f"of valid requests with a body {self.valid[True]} had an answer and {self.valid[False]} were refused")
        for label in sorted({label for label, _ in statuses}):
            counts = ", ".join(f"{s or 'closed'}: {n}" for (name, s), n in sorted(statuses.items()) if name == label)
            print(f"  {label:40} {counts}")


@pytest.fixture(scope="module")
def description():
    return Description()


@pytest.fixture(scope="module")
def daemon():
    with FuzzDaemon() as started:
        yield started


def test_the_description_is_openapi(description):
    import openapi_spec_validator

    openapi_spec_validator.validate(description.document)


def test_examples_are_as_described(description):
    count = 0
    for name, schema in description.document["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            description.check({"$ref": f"#/components/schemas/{name}"}, closed="Request" not in name)(example)
            count += 1
        for member, part in schema.get("properties", {}).items():
            for example in part.get("examples", ()):
                description.check(part, closed=False)(example)
                count += 1
            assert isinstance(member, str)
    assert count > 20


def test_every_route_is_described_and_is_there(description, daemon):
    for path, item in description.document["paths"].items():
        answer = daemon.get(re.sub(r"\{\w+\}", "x", path), "PATCH")
        assert answer.status == 405, path
        methods = {
            method.upper() for operation in [item] for method in operation if method in ("get", "post", "delete")
        }
        # "import" is an id, too, for those who ask with another method.
        extra = {"GET", "DELETE"} if path == "/v1/sessions/import" else set()
        assert set(answer.headers["allow"].split(", ")) == methods | extra, path
    assert daemon.get("/v1/nothing").status == 404

    # The paths that the sources have are all described.
    written = set()
    for source in (ROOT / "server/http").rglob("*.cc"):
        written |= set(re.findall(r'"(/(?:v1/[\w/{}]+|metrics|healthz|readyz))"', source.read_text()))
    assert len(written) > 10
    assert written <= set(description.document["paths"])


def test_it_is_served(description, daemon):
    answer = daemon.get("/openapi.json")
    assert (answer.status, answer.media_type) == (200, "application/json")
    assert json.loads(answer.body) == description.document


def test_a_request_that_begins_to_come_before_the_last_answer(daemon):
    body = b'{"prompt":"a","max_tokens":1}'
    request = request_bytes("POST", "/v1/completions", body, [bearer("one"), fuzz_raw.JSON])
    with Peer(daemon.port) as peer:
        peer.send(request + request[:40])
        for _ in range(20):
            assert peer.answer().status == 200
            peer.send(request[40:] + request[:40])
        assert peer.answer().status == 200


def test_fuzz(description):
    with FuzzDaemon() as daemon:
        # The first of each kind make threads, files and pools.
        daemon.get("/v1/models")
        descriptors = daemon.descriptors()
        fuzz = Fuzz(daemon, description)
        fuzz.report(fuzz.run())

        texts = [f"{count} times: {text}" for count, text in fuzz.findings.values()]
        assert daemon.is_alive(), "\n".join(texts)
        daemon.wait_until(daemon.is_at_rest, "no turn runs or waits")
        left = daemon.delete_sessions()
        daemon.wait_until(lambda: daemon.figures()["ssmd_sessions"] == 0, "there is no session")
        # Files of states that are still being stored come and go.
        daemon.wait_until(lambda: daemon.descriptors() <= descriptors + 4, "connections and files are closed")
        now = daemon.resident_bytes()
        warm = fuzz.warm_bytes or now
        print(f"{left} sessions were left; resident {warm >> 20} MiB when warm, {now >> 20} MiB at the end")
        print(f"descriptors {descriptors} at the start, {daemon.descriptors()} at the end")
        assert not texts, "\n\n".join([f"{len(texts)} findings:", *texts])
        assert now <= warm + GROWTH_BYTES
        assert fuzz.valid[True] > fuzz.valid[False] / 2  # cases reach what they are for
        assert daemon.stop() == 0
