"""Makes tests/unit/text/data/jinja_golden.json: what Hugging Face transformers renders of the templates
in jinja_cases.py. They are our own; those of real models are compared in tests/huggingface.

    venv/bin/pip install transformers jinja2
    venv/bin/python make_chat_golden.py ../unit/text/data
"""

import argparse
import datetime
import json
import pathlib

import jinja2
import transformers.utils.chat_template_utils as chat

import jinja_cases

NOW = datetime.datetime(2026, 3, 5, 17, 8, 9)


class Clock(datetime.datetime):
    """Stands still, for strftime_now."""

    @classmethod
    def now(cls, tz=None):
        return NOW


def render(source):
    """The text, or None where transformers refuses the template or what it does."""
    try:
        return chat._compile_jinja_template(source).render(**jinja_cases.VARIABLES)
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ArithmeticError, LookupError,
            AttributeError, SyntaxError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    folder = parser.parse_args().folder
    chat.datetime = Clock
    cases = [{"template": "{{ " + text + " }}"} for text in jinja_cases.EXPRESSIONS]
    cases += [{"name": name, "template": text} for name, text in jinja_cases.TEMPLATES.items()]
    for case in cases:
        case["text"] = render(case["template"])
    golden = {"variables": jinja_cases.VARIABLES, "cases": cases}
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    (folder / "jinja_golden.json").write_text(text + "\n")
    print(len(cases), "cases,", sum(case["text"] is None for case in cases), "of them errors")


if __name__ == "__main__":
    main()
