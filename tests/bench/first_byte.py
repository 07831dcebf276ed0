"""How long after the engine's first token its text is at an HTTP caller.

    first_byte.py --server 127.0.0.1:8080 [--requests 200]

Asks one streamed completion after the other on one connection. What the caller waited for the first
piece of text, less what the server says that its engine took (ssmd.timings_ms.first_token), is what
HTTP, JSON and the sockets add, the request's way in and its tokenisation among it.
"""

import argparse
import http.client
import json
import statistics
import time


def ask(connection: http.client.HTTPConnection, prompt: str) -> tuple[float, float]:
    """The caller's and the engine's milliseconds to the first token."""
    body = json.dumps({"prompt": prompt, "max_tokens": 4, "stream": True, "ignore_eos": True})
    begun = time.perf_counter()
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    if response.status != 200:
        raise SystemExit(f"{response.status}: {response.read().decode()}")
    first = None
    engine = None
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        arrived = time.perf_counter()
        chunk = json.loads(line[6:])
        if first is None and chunk["choices"] and chunk["choices"][0]["text"]:
            first = (arrived - begun) * 1e3
        engine = chunk.get("ssmd", {}).get("timings_ms", {}).get("first_token", engine)
    if first is None or engine is None:
        raise SystemExit("the answer had no text, or did not end")
    return first, engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1:8080", help="HTTP address of an ssmd")
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--prompt", default="Once upon a time")
    options = parser.parse_args()
    connection = http.client.HTTPConnection(options.server)
    ask(connection, options.prompt)  # the first one pays for what is made once
    times = [ask(connection, options.prompt) for _ in range(options.requests)]
    added = sorted(first - engine for first, engine in times)
    print(f"{options.requests} requests, milliseconds")
    print(f"  first token at the caller, median    {statistics.median(t[0] for t in times):8.3f}")
    print(f"  first token of the engine, median    {statistics.median(t[1] for t in times):8.3f}")
    for name, at in (("median", 0.5), ("99th percentile", 0.99), ("most", 1.0)):
        value = added[min(len(added) - 1, int(at * len(added)))]
        print(f"  between them, {name:<22} {value:8.3f}")


if __name__ == "__main__":
    main()
