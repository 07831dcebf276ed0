"""The chat model that comes with ssmd: it ends its turns by itself, in its own chat format."""

from __future__ import annotations

from pathlib import Path

from daemon import ROOT, Daemon

NAME = "chat-mamba2"
QUESTIONS = (
    "I am looking for a restaurant in San Jose.",
    "I like Italian food.",
    "Thank you, that is all.",
)


def test_a_conversation(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--model", f"{NAME}={ROOT / 'deploy/models' / NAME}")
    try:
        whole = [answer(daemon, whole_history(QUESTIONS[:1], []))]
        for turns in range(2, len(QUESTIONS) + 1):
            whole.append(answer(daemon, whole_history(QUESTIONS[:turns], whole)))
        for text in whole:
            assert text.strip()
            assert "<|" not in text
        assert continued(daemon) == whole
        refuses_a_system_message(daemon)
    finally:
        daemon.stop()


def refuses_a_system_message(daemon: Daemon) -> None:
    """Its template has no place for one: the error is of the messages, and not of the model."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": QUESTIONS[0]},
    ]
    asked = {
        "messages": ("/v1/chat/completions", {"messages": messages}),
        "input": ("/v1/responses", {"input": messages}),
    }
    for param, (path, body) in asked.items():
        reply = daemon.http.post(path, json={"model": NAME, **body})
        assert reply.status_code == 400
        error = reply.json()["error"]
        assert error["param"] == param
        assert error["message"].endswith("this model knows user and assistant, not system")


def whole_history(
    questions: tuple[str, ...], answers: list[str]
) -> list[dict[str, str]]:
    """What a client sends that knows no sessions."""
    messages = [{"role": "user", "content": questions[0]}]
    for said, asked in zip(answers, questions[1:]):
        messages.append({"role": "assistant", "content": said})
        messages.append({"role": "user", "content": asked})
    return messages


def answer(daemon: Daemon, messages: list[dict[str, str]]) -> str:
    body = {
        "model": NAME,
        "messages": messages,
        "temperature": 0,
        "max_completion_tokens": 200,
    }
    choice = daemon.http.post("/v1/chat/completions", json=body).json()["choices"][0]
    assert choice["finish_reason"] == "stop"
    return str(choice["message"]["content"])


def continued(daemon: Daemon) -> list[str]:
    """The answers to the questions one by one, on a session."""
    session = daemon.http.post("/v1/sessions", json={"model": NAME}).json()["id"]
    answers = []
    for question in QUESTIONS:
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_completion_tokens": 200,
            "ssmd": {"session_id": session},
        }
        reply = daemon.http.post("/v1/chat/completions", json=body).json()
        assert reply["choices"][0]["finish_reason"] == "stop"
        answers.append(str(reply["choices"][0]["message"]["content"]))
    return answers
