"""Conversations for compare.py, as apply_chat_template takes them."""

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a place.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "Its name"},
                    "unit": {"type": "string", "enum": ["C", "F"]},
                    "days": {"type": "integer", "minimum": 1},
                },
                "required": ["city"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": 'Adds "two" numbers <b> & more',
            "parameters": {
                "type": "object",
                "properties": {
                    "a": {"type": "number", "default": 1.5},
                    "b": {"type": ["number", "null"]},
                },
                "required": ["a", "b"],
            },
            "return": {"type": "number"},
        },
    },
]


def system(text):
    return {"role": "system", "content": text}


def user(text):
    return {"role": "user", "content": text}


def assistant(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, call_id="abcdef123"):
    return {"type": "function", "id": call_id, "function": {"name": name, "arguments": arguments}}


def tool(name, text, call_id="abcdef123"):
    return {"role": "tool", "name": name, "content": text, "tool_call_id": call_id}


CONVERSATIONS = [
    {"messages": [user("Hello")], "add_generation_prompt": True},
    {"messages": [system("Be kind.  "), user("  Hi there \n")], "add_generation_prompt": True},
    {"messages": [user("1"), assistant("2"), user("3")], "add_generation_prompt": True},
    {"messages": [system("S"), user("a"), assistant(" b "), user("c"), assistant("d")]},
    {
        "messages": [
            user('Grüße, 世界 🌍 & <b> "q" \\'),
            assistant("é\n\n'x'"),
            user("ok\ttab"),
        ],
        "add_generation_prompt": True,
    },
    {
        "messages": [system("Use tools."), user("Weather?")],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    {
        "messages": [
            user("Weather in Paris?"),
            assistant("", tool_calls=[call("get_weather", {"city": "Paris", "days": 2})]),
            tool("get_weather", '{"t": 21.5}'),
            assistant("21.5 degrees."),
            user("Thanks"),
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    {
        "messages": [
            system("S"),
            user("Two things"),
            assistant(
                "Calling.",
                tool_calls=[
                    call("add", {"a": 1, "b": 2.0}, "abcdef124"),
                    call("get_weather", {"city": "Zürich", "unit": None}, "abcdef125"),
                ],
            ),
            tool("add", "3", "abcdef124"),
            tool("get_weather", "rain", "abcdef125"),
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    {
        "messages": [
            user("Think"),
            assistant("<think>\nhmm\n</think>\n\nDone"),
            user("Again"),
            assistant("Yes", reasoning_content="because"),
            user("?"),
        ],
        "add_generation_prompt": True,
        "arguments": {"enable_thinking": False},
    },
    {
        "messages": [system(""), user(""), assistant("x" * 50), user("y")],
        "tools": TOOLS[:1],
    },
    {
        "messages": [
            user("no content"),
            {"role": "assistant", "tool_calls": [call("add", {"a": 1, "b": True})]},
            {"role": "tool", "content": "3", "tool_call_id": "abcdef123"},
        ],
        "add_generation_prompt": True,
    },
    {
        "messages": [{"role": "developer", "content": "Dev"}, user("go")],
        "add_generation_prompt": True,
    },
    {"messages": [user("Begin"), assistant("I am ")], "continue_final_message": True},
]
