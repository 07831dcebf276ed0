"""Values from schemas, valid ones and wrong ones, from a seeded generator."""

import json
import string

# The figures that break programs.
NUMBERS = (
    0,
    -1,
    1,
    2,
    63,
    64,
    65,
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) - 1,
    2**32,
    2**53,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64,
)
NUMBERS += (0.5, -0.0, 1e-320, 1e308, -1e308, 10**40, 1.0, 1e2)
TEXTS = (
    "",
    " ",
    "a",
    "Once upon a time",
    "\0",
    "\n\n",
    "é",
    "日本語",
    "👩‍👩‍👧",
    "\u202e",
    "%s%n",
    "../../etc",
    "<|endoftext|>",
)
TEXTS += ("null", "-1", "1e9", "a" * 257, "b" * 5000, "\ufffd", "\x7f", "\ud800", "A\u0301", "new", "default")
CHECKPOINTS = ("a", "a", "a", "b", "c.d")


class Values:
    """`pool` has what the daemon has made so far."""

    def __init__(self, random, description, pool):
        self.random = random
        self.description = description
        self.pool = pool

    # --- Of no schema ---

    def text(self):
        if self.random.random() < 0.5:
            return self.random.choice(TEXTS[:13])
        letters = string.printable if self.random.random() < 0.8 else "aé日👩\0\x1b"
        return "".join(self.random.choices(letters, k=self.random.randrange(1, 24)))

    def any_value(self, depth=2):
        kind = self.random.randrange(8 if depth else 6)
        if kind == 0:
            return None
        if kind == 1:
            return self.random.random() < 0.5
        if kind in (2, 3):
            return self.random.choice(NUMBERS)
        if kind in (4, 5):
            return self.random.choice(TEXTS)
        if kind == 6:
            return [self.any_value(depth - 1) for _ in range(self.random.randrange(4))]
        return {self.random.choice(("a", "type", "text", "", "id", "1")): self.any_value(depth - 1)}

    # --- Of a schema ---

    def of(self, schema, name=""):
        known = getattr(self, "_of_" + name, None)
        if known is not None and (value := known()) is not None:
            return value
        if "$ref" in schema:
            schema = self.description.found(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self.random.choice(schema["enum"])
        if "anyOf" in schema:
            return self.of(self.random.choice(schema["anyOf"]), name)
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self.random.choice(kind)
        if kind is None:
            return self.any_value()
        return getattr(self, "_a_" + kind)(schema)

    def _a_null(self, _):
        return None

    def _a_boolean(self, _):
        return self.random.random() < 0.5

    def _a_integer(self, schema):
        low = schema.get("minimum", -(2**31))
        high = schema.get("maximum", 2**31)
        if self.random.random() < 0.1:
            return self.random.choice((low, high))
        return min(high, max(low, 0) + self.random.choice((0, 1, 1, 2, 3, 5, 8, 20)))

    def _a_number(self, schema):
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1))
        high = schema.get("maximum", 1)
        if "minimum" in schema and self.random.random() < 0.1:
            return low
        return high if self.random.random() < 0.1 else low + (high - low) * (0.01 + 0.99 * self.random.random())

    def _a_string(self, schema):
        if "pattern" in schema:
            return self.random.choice(CHECKPOINTS)
        text = self.text()[: schema.get("maxLength", 64)]
        return text or "x" * schema.get("minLength", 0)

    def _a_array(self, schema):
        low = schema.get("minItems", 0)
        size = low if self.random.random() < 0.03 else min(schema.get("maxItems", 4), low + self.random.randrange(1, 4))
        return [self.of(schema.get("items", {})) for _ in range(size)]

    def _a_object(self, schema):
        members = schema.get("properties", {})
        share = min(0.5, 2.5 / max(1, len(members)))
        required = schema.get("required", ())
        value = {n: self.of(s, n) for n, s in members.items() if n in required or self.random.random() < share}
        if not members and "additionalProperties" not in schema and self.random.random() < 0.5:
            value["enable_thinking"] = False
        return value

    # --- Of names, so that most requests mean something; None: as the schema says ---

    def _of_model(self):
        return "demo" if self.random.random() < 0.95 else None

    def _of_session_id(self):
        return self.pool.session(self.random)

    _of_id = _of_session_id

    def _of_parent_id(self):
        return self.pool.answer(self.random)

    _of_previous_response_id = _of_parent_id

    def _of_checkpoint(self):
        return self.random.choice(CHECKPOINTS)

    _of_name = _of_checkpoint

    def _of_position(self):
        return self.random.randrange(24)

    def _of_expected_revision(self):
        return self.random.randrange(3)

    def _of_turns(self):
        return self.random.randrange(1, 4)

    def _of_count(self):
        return self.random.randrange(1, 4)

    def _of_n(self):
        return self.random.choice((1, 1, 2, 4))

    def _of_top_k(self):
        return self.random.choice((0, 1, 40, 2048))

    def _of_max_tokens(self):
        return self.random.choice((0, 1, 2, 3, 5, 8, 8, 64)) if self.random.random() < 0.97 else None

    _of_max_completion_tokens = _of_max_tokens
    _of_max_output_tokens = _of_max_tokens

    def _of_logit_bias(self):
        return {
            str(self.random.randrange(2048)): self.random.uniform(-100, 100) for _ in range(self.random.randrange(4))
        }

    def _of_token_ids(self):
        return [self.random.randrange(2048) for _ in range(self.random.randrange(1, 40))]

    def _of_prompt(self):
        return self.random.choice((self.text() or "a", self._of_token_ids(), None))

    def _of_ttl_seconds(self):
        return self.random.choice((0, 1, 2, 60))

    _of_idle_seconds = _of_ttl_seconds

    def request(self, operation):
        """A body that its schema takes, whose members mostly go together."""
        value = self.of(operation.request_schema)
        if self.random.random() < 0.04:
            return value
        properties = self.description.found(operation.request_schema)["properties"]
        for name in ("prompt", "messages", "input"):
            if name in properties and operation.path.startswith(("/v1/co", "/v1/ch", "/v1/re")):
                value.setdefault(name, self.of(properties[name], name))
        if "ssmd" in properties and self.random.random() < 0.3:
            value["ssmd"] = self.of(properties["ssmd"])
            name = self.random.choice(("session_id", "session_id", "parent_id"))
            value["ssmd"].setdefault(name, getattr(self, "_of_" + name)())
        for name in ("max_tokens", "max_output_tokens"):
            if name in properties:
                value.setdefault(name, self._of_max_tokens() or 1)
        if "stream" in properties and "stream" not in value and self.random.random() < 0.3:
            value["stream"] = True
        if not value.get("stream"):
            value.pop("stream_options", None)
        if not value.get("logprobs"):
            value.pop("top_logprobs", None)
        if "best_of" in value:
            value["best_of"] = value.get("n", 1)
        if value.get("continue_final_message"):
            value.pop("add_generation_prompt", None)
        turn = value.get("ssmd")
        if turn is not None:
            self._mend_turn(value, turn)
        given = []
        for one_of in (("text", "token_ids", "messages"), ("checkpoint", "position", "turns")):
            if operation.path.startswith("/v1/sessions"):
                given = [name for name in one_of if name in value]
                for name in given[1:]:
                    del value[name]
        if operation.path.endswith("/rewind") and not given:
            value.update(
                self.random.choice(
                    ({"turns": 1}, {"turns": 1}, {"checkpoint": "a"}, {"position": 0, "allow_recompute": True})
                )
            )
        if self.random.random() < 0.7:
            value.pop("expected_revision", None)
        return value

    def _mend_turn(self, value, turn):
        if "session_id" in turn and "parent_id" in turn:
            del turn[self.random.choice(("session_id", "parent_id"))]
        if "session_id" in turn:
            value.pop("store", None)
            value.pop("previous_response_id", None)
        else:
            for name in ("expected_revision", "request_id", "commit"):
                turn.pop(name, None)
        if not value.get("store") and "parent_id" not in turn:
            turn.pop("ttl_seconds", None)
            turn.pop("idle_seconds", None)

    # --- Wrong ---

    def changed(self, value):
        """The value with one thing, anywhere in it, changed."""
        value = json.loads(json.dumps(value))
        places = list(_places(value))
        if not places:
            return self.any_value()
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            holder, key = self.random.choice(places)
            self._change(holder, key)
        return value

    def _change(self, holder, key):
        kind = self.random.randrange(9)
        try:
            old = holder[key]
        except (KeyError, IndexError):
            return  # by the change before
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[self.random.choice(("x", "", "Prompt", "temperature ", "__proto__", "n" * 300))] = self.any_value()
        elif kind == 2:
            holder[key] = [old]
        elif kind == 3:
            holder[key] = {"a": old}
        elif kind == 4:
            holder[key] = self.random.choice(NUMBERS)
        elif kind == 5:
            holder[key] = self.random.choice(TEXTS)
        elif kind == 6 and isinstance(old, (int, float)):
            holder[key] = self.random.choice((-old, old + 1, old * 1000, old + 0.25, str(old)))
        elif kind == 7 and isinstance(old, str):
            holder[key] = self.random.choice((old * 50, old + "\0", old[1:], old.upper(), [old] * 20))
        else:
            holder[key] = self.any_value()

    def spoilt(self, data):
        """A JSON text with bytes changed."""
        at = self.random.randrange(len(data) + 1)
        kind = self.random.randrange(16)
        if kind == 0:
            return data[:at]
        if kind == 1:
            return data[:at] + bytes([self.random.randrange(256)]) + data[at:]
        if kind == 2:
            return data[:at] + bytes([self.random.randrange(256)]) + data[at + 1 :]
        if kind == 3:
            return data[:at] + data[at + self.random.randrange(1, 9) :]
        if kind == 4:
            return data + self.random.choice((b"x", b"{}", b",", b"\0", b" \n\t", b"]"))
        if kind == 5:
            return self.random.choice((b"\xef\xbb\xbf", b" ", b"//c\n", b"\0")) + data
        if kind == 6:
            return data.decode("utf-8", "replace").encode(self.random.choice(("utf-16", "utf-16-le", "utf-32")))
        if kind == 7:
            depth = self.random.choice((20, 31, 32, 33, 100, 5000))
            opening, closing = self.random.choice(((b"[", b"]"), (b'{"a":', b"}")))
            return b'{"user":' + opening * depth + b"1" + closing * depth + b"}"
        if kind == 8:
            return b'{"prompt":"a","prompt":"b",' + data[1:]
        member = {
            9: b'"temperature":'
            + self.random.choice((b"NaN", b"Infinity", b"1e999", b"-1e999", b"01", b"1.", b".5", b"+1", b"0x1")),
            10: b'"seed":' + b"9" * self.random.choice((19, 20, 64, 65, 5000)),
            11: b'"user":"'
            + self.random.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"))
            + b'"',
            12: b'"user":"\\u' + self.random.choice((b"d800", b"dc00", b"d800\\u0061", b"12", b"zzzz", b"0000")) + b'"',
            13: b'"user":"' + self.random.choice((b"\n", b"\x1f", b"\0", b"\\x", b"\\")) + b'"',
            14: b'"user":' + self.random.choice((b"True", b"nul", b"undefined", b"'a'", b"{a:1}", b"[1,]")),
            15: b'"prompt":"' + b"a" * self.random.choice((4096, 4097, 70000, 140000)) + b'"',
        }[kind]
        return b"{" + member + (b"," + data[1:] if len(data) > 2 and data[:1] == b"{" else b"}")


def _places(value):
    if isinstance(value, dict):
        for name, member in value.items():
            yield value, name
            yield from _places(member)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield value, index
            yield from _places(element)
