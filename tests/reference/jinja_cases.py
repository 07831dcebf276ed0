"""Templates of our own, a construct each, for make_chat_golden.py. What a case shows is one line of
text or an error."""

# Variables that every case sees.
VARIABLES = {
    "word": "Hello",
    "text": "  two words\n",
    "unicode": "Grüße 世界 ß",
    "empty": "",
    "quote": "it's \"q\" \\ \t\u0007\u00a0é",
    "number": 42,
    "negative": -7,
    "real": 1.5,
    "yes": True,
    "nothing": None,
    "list": [3, 1, 2],
    "mixed": [1, "a", None, True, 2.0, [1], {"k": "v"}],
    "words": ["b", "A", "c", "a"],
    "table": {"b": 1, "a": {"x": [1, 2]}, "items": "shadow", "ü": "<&>'\""},
    "people": [
        {"name": "Ann", "age": 30, "tags": ["x"]},
        {"name": "bob", "age": 25, "tags": []},
        {"name": "Cyd", "age": 30, "extra": None},
    ],
}

# Of each the value of {{ … }}.
EXPRESSIONS = """
number + 1
number - 1.5
7 // 2
-7 // 2
7 // -2
-7 % 3
7 % -3
7.5 // 2
-7.5 % 2
7 / 2
2 ** 10
2 ** -1
-2 ** 2
2 ** 3 ** 2
1 / 0
1 % 0
9223372036854775807
1_000
1e3
1.5e-7
1e16
123456789012345680.0
0.1 + 0.2
1e22
-0.0
100000.0
0.0001
0.00001
yes + 1
not yes
not number == 42
1 < 2 < 3
1 < 3 < 2
1 == 1.0
"1" == 1
yes == 1
nothing == none
nothing is none
list == [3, 1, 2]
table == table
"a" < "b"
[1, 2] < [1, 3]
1 < "a"
none < 1
word ~ 1 ~ none ~ true ~ 1.0
word + word
word + 1
1 + 2 ~ 3
"a" * 3
3 * "ab"
"a" * -1
[1] * 2
[1] + [2]
(1, 2) + (3,)
[1] + (2,)
()
(1,)
1, 2
{}
{"a": 1, 1: "b", none: true}
{1: "a", 1.0: "b", true: "c"}
mixed
table
quote
[quote]
[unicode, "\\u200b", "\\x7f", "\\U0001f600"]
"a\\nb\\tc\\\\d\\'e\\"f\\x41\\u00e9\\101\\q"
'x' "y" 'z'
word[0]
word[-1]
word[10]
word[1:3]
word[::-1]
word[-3:-1]
word[10:]
word[::2]
unicode[5]
unicode[-2:]
list[0]
list[-1]
list[3]
list[1:]
list[::-1]
list[5:1:-2]
list[::0]
table["a"]
table.a.x[1]
table["a"]["x"]
table.missing
table["missing"]
table.missing.more
table["items"]
table.get("b")
table.get("zz")
table.get("zz", 5)
table.keys() | list
table.values() | list
table.items() | list
table.ü
people[0].name
people.0.name
people.5.name
missing
missing.more
missing + 1
missing == missing
missing is defined
missing | default("d")
empty | default("d")
empty | default("d", true)
empty | d("d", boolean=true)
nothing | default("d")
missing | length
[missing]
"in" in "within"
"x" in word
"" in word
1 in "1"
2 in list
5 not in list
"a" in table
"zz" in table
none in mixed
1 in missing
1 in 5
number if yes else "no"
number if empty else "no"
number if empty
"a" if no else "b" if no else "c"
yes and word
empty and word
empty or word
nothing or missing or 0
word is string
number is string
number is number
yes is number
yes is integer
number is integer
real is float
yes is boolean
nothing is none
word is mapping
table is mapping
list is iterable
number is iterable
word is iterable
missing is iterable
list is sequence
table is sequence
word is sequence
table.items() is sequence
(list | map("string")) is sequence
number is sequence
yes is true
1 is true
yes is sameas true
number is even
number is odd
number is divisibleby 7
number is divisibleby(5)
number is eq 42
number is equalto 42
number is ne(42)
number is gt 41
number is lessthan 41
2 is in list
"HELLO" is upper
"hello" is lower
"Hello" is upper
"12" is upper
word is not string
word is defined and word is string
"upper" is filter
"nosuch" is filter
"defined" is test
range is callable
word is callable
word is undefined
word | upper
word | lower
unicode | upper
unicode | lower
"hello wORLD it's (me) x-y" | title
"hello wORLD it's" .title()
"hELLO" | capitalize
"éa" | capitalize
text | trim
text | trim | length
"xxaxx" | trim("x")
text.strip()
text.lstrip()
text.rstrip()
"xyaxy".strip("xy")
"xyaxy".lstrip("x")
"xyaxy".rstrip("y")
"\\u00a0\\u3000a\\x1c".strip()
"a,b,,c".split(",")
"a,b,,c".split(",", 1)
"a,b,,c".rsplit(",", 1)
"a,b,,c".split(",", maxsplit=2)
" a  b c ".split()
" a  b c ".split(none, 1)
" a  b c ".rsplit(none, 1)
"".split()
"".split(",")
"abc".split("")
"aXbXc".partition("X")
"aXbXc".rpartition("X")
"abc".partition("X")
"abc".rpartition("X")
"a\\nb\\r\\nc\\rd\\n".splitlines()
"a\\nb\\n".splitlines(true)
"a\\u2028b\\x0bc".splitlines()
word.startswith("He")
word.startswith(("x", "H"))
word.endswith("lo")
word.endswith("")
word.find("l")
word.rfind("l")
word.find("z")
unicode.find("世")
word.index("z")
word.count("l")
word.count("")
word.replace("l", "L")
word.replace("l", "L", 1)
word.replace("", "-")
word | replace("l", "LL")
word | replace("l", "L", 1)
"aaaa".replace("aa", "b")
word.upper()
word.lower()
"hello there".capitalize()
word.islower()
"12".isdigit()
"".isdigit()
"ab1".isalnum()
"ab".isalpha()
" \\t".isspace()
"AB".isupper()
", ".join(words)
"".join([1])
word.removeprefix("He")
word.removesuffix("lo")
"7".zfill(3)
"-7".zfill(4)
word.ljust(7) ~ "|"
word.rjust(7)
"{} and {}".format(1, "b")
"{0}{1}{0}".format("a", "b")
"{x}-{y}".format(x=1, y=none)
"{{}}{}".format(1)
"{:.2f} {:03d} {:5d}|".format(3.14159, 7, 3)
"{!r}".format("a")
"{0[1]} {1.name}".format(list, people[0])
"{} {}".format(1)
"%s-%s" % ("a", 1)
"%s" % "x"
"%d%%" % 5
"%05.1f|%-4s|%x|%r" % (3.14159, "a", 255, "q")
"%(a)s" % {"a": 1}
"%s %s" % "x"
"%s and %s" | format(1, "b")
"x\\ny\\n\\nz" | indent
"x\\ny" | indent(2, true)
"x\\n\\ny" | indent(2, blank=true)
"x\\ny" | indent("> ")
"x\\ny\\n" | indent(first=true)
words | join
words | join(", ")
people | join(", ", attribute="name")
list | first
list | last
[] | first
[] | first | default("none")
word | first
list | length
word | count
unicode | length
table | length
5 | length
list | list
word | list
table | list
(1, 2) | list
list | sort
list | sort(reverse=true)
words | sort
words | sort(case_sensitive=true)
people | sort(attribute="age") | map(attribute="name") | list
people | sort(attribute="age,name") | map(attribute="name") | list
people | sort(attribute="name", reverse=true) | map(attribute="name") | list
[1, "a"] | sort
list | reverse | list
word | reverse
(list | reverse) is defined
words | unique | list
words | unique(true) | list
list | min
list | max
words | max
[] | min
list | sum
people | sum(attribute="age")
list | sum(start=10)
table | dictsort
table | dictsort(true)
table | dictsort(reverse=true) | first
{"b": 2, "a": 3, "C": 1} | dictsort
{"b": 2, "a": 3, "C": 1} | dictsort(true)
{"b": 2, "a": 3, "C": 1} | dictsort(by="value")
table | items | list
missing | items | list
people | map(attribute="name") | list
people | map(attribute="tags.0") | list
people | map(attribute="extra", default="-") | list
words | map("upper") | list
words | map("replace", "a", "x") | list
nothing | map("upper") | list
words | map | list
words | map("nosuch") | list
people | selectattr("age", "equalto", 30) | map(attribute="name") | list
people | selectattr("extra") | list | length
people | selectattr("extra", "defined") | list | length
people | rejectattr("age", "gt", 26) | map(attribute="name") | list
mixed | select("string") | list
mixed | select | list
mixed | reject("none") | list | length
list | select("odd") | list
list | select("gt", 1) | list
(list | select("gt", 10)) and "true though empty"
(list | map("string")) | length
list | map("string") | first
list | batch(2) | list
list | batch(2, "-") | list
"3" | int
"3.7" | int
"x" | int
"x" | int(-1)
"0x1f" | int(0, 16)
"ff" | int(base=16)
" 12 " | int
"1_0" | int
3.9 | int
-3.9 | int
yes | int
nothing | int
list | int(7)
"3.5" | float
"x" | float
"1e3" | float
"nan" | float
"inf" | float
5 | float
-5 | abs
-5.5 | abs
2.5 | round
3.5 | round
2.567 | round(2)
2.5 | round(method="ceil")
2.55 | round(1, "floor")
7 | round
1234 | round(-2)
number | string
none | string
list | string
word | safe
"<" + ("b" | safe)
("b" | safe) + "<'\\"&>"
"<" ~ ("b" | safe)
"<b>" | escape
("a" | safe) + "b" | e
"a b/ü?" | urlencode
"one two, three_four" | wordcount
word | tojson
quote | tojson
quote | tojson(ensure_ascii=true)
"🌍\\x7f" | tojson(ensure_ascii=true)
table | tojson
mixed | tojson
mixed | tojson(indent=2)
table | tojson(indent=4)
[] | tojson(indent=2)
{} | tojson(indent=2)
{"a": [], "b": {}} | tojson(indent=1)
table | tojson(separators=(",", ":"))
{"b": 1, "a": 2} | tojson(sort_keys=true)
[1.0, 1e100, -0.5, 100000000000000000000.0] | tojson
{1: 2, none: 3, true: 4, 1.5: 5} | tojson
(1, 2) | tojson
missing | tojson
range(3) | tojson
table.keys() | tojson
"nan" | float | tojson
"</script>&'" | tojson
range(3) | list
range(1, 10, 3) | list
range(5, 0, -2) | list
range(0) | list
range(3)[1]
range(3) | length
range(3) == range(3)
range(1, 2, 0)
range(100001)
dict(a=1, b=2)
dict({"a": 1}, b=2)
dict([["a", 1]])
namespace(a=1).a
namespace({"a": 1}, b=2).b
namespace(a=1).c is defined
raise_exception("no")
strftime_now("%Y-%m-%d %H:%M")
list.append(4)
list.index(1)
list.count(3)
table.pop("a")
table.update({"a": 1})
list[1] is number
-number | abs
-1 | abs
(-1) | abs
not missing | length
1 + 2 * 3 - 4
(1 + 2) * 3
10 - 2 - 3
2 * 3 % 4
"a" ~ "b" * 2
"%s" % word ~ "!"
1 is number and 2 is string or 3 is number
[1, 2, 3,]
{"a": 1,}
word.upper().lower() | title
word["upper"]()
people | map(attribute="name") | map("lower") | join("-")
people[0]["tags"][0].upper()
1 in [1] and 2 not in [1]
"a" in ["a"] == true
+5
- 5
--5
true == True
none is none and None is none
loop
loop is defined
table | attr("b")
word.__class__
"a" "b" | upper
list | join("-") ~ "."
[[1, 2], [3]] | map("first") | list
[[1, 2], [3]] | map("length") | sum
[[2, 1], [1, 2]] | sort
{"k": missing}
missing ~ "x"
[1, 2] in [[1, 2]]
(1, 2) == [1, 2]
"ab" in ["abc"]
word[1:][0]
"x"[0:0] | length
"abc"[-100:100]
table["a"].x | sum
1.0 | string
1e5 | int
10 ** 18
3.0 * 2
7 // 2.0
5 is divisibleby 2.5
""" .strip().split("\n")

# Whole templates.
TEMPLATES = {
    "white space": "a\n  {% if true %}\n  b\n  {%- endif %}\n c {%+ if true +%} d\n{% endif -%}\n\n e\n",
    "white space of comments": "a\n  {# x #}\n  b {#- y -#}\n c\n",
    "white space of output": "a\n  {{- 1 }}\n  {{ 2 -}}\n  b",
    "newline at the end": "a\n",
    "newlines at the end": "a\n\n",
    "carriage returns": "a\r\nb\rc{% if true %}\r\nd{% endif %}",
    "line start": "{% if true %}  {% endif %}x\n\t {% if true %}y{% endif %}",
    "line start behind a stripped tag": "{% if true -%}\n  {% endif %}x",
    "raw": "{% raw %}{{ not }} {% this %}{% endraw %}!",
    "raw with signs": "a {%- raw -%}  {{ x }}  {%- endraw -%}  b",
    "braces in strings": "{{ '}}' ~ \"%}\" }}{{ {'a': {'b': 1}}['a']['b'] }}",
    "lone braces": "{ } {a} % #}",
    "if": "{% if no %}1{% elif number > 40 %}2{% elif true %}3{% else %}4{% endif %}",
    "for": "{% for x in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
    "{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ x }};{% endfor %}",
    "for, neighbours": "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}"
    "{{ loop.nextitem is defined }} {% endfor %}",
    "for over nothing": "{% for x in [] %}x{% else %}none{% endfor %}{% for x in missing %}x{% endfor %}",
    "for over a number": "{% for x in 5 %}x{% endfor %}",
    "for over none": "{% for x in nothing %}x{% endfor %}",
    "for over text": "{% for c in unicode %}[{{ c }}]{% endfor %}",
    "for over a table": "{% for k in table %}{{ k }},{% endfor %}{% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %}",
    "for with targets": "{% for (a, b), c in [[[1, 2], 3]] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "for with too few values": "{% for a, b in [[1]] %}{{ a }}{% endfor %}",
    "for with a filter": "{% for x in list if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor %}",
    "for with a filter on what it names": "{% for p in people if p.age == 30 %}{{ p.name }}{{ loop.last }}{% endfor %}",
    "for over a tuple": "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "for over a condition": "{% for x in (list if yes else []) %}{{ x }}{% endfor %}",
    "for, twice over an iterator": "{% set i = list | map('string') %}{% for x in i %}{{ x }}{% endfor %}|{% for x in i %}{{ x }}{% endfor %}",
    "break and continue": "{% for x in range(10) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 5 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "break in a loop in a loop": "{% for x in [1, 2] %}{% for y in [1, 2, 3] %}{% if y == 2 %}{% break %}{% endif %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "loop in a loop": "{% for x in [1, 2] %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ loop.index }}{{ loop.depth }} {% endfor %}{% endfor %}",
    "loop cycle": "{% for x in list %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "set ends with its loop": "{% set x = 1 %}{% for y in list %}{% set x = y %}{{ x }}{% endfor %}{{ x }}",
    "set before it is set in a loop": "{% set x = 1 %}{% for y in [5, 6] %}{{ x }}{% set x = y %}{{ x }} {% endfor %}",
    "set in an if": "{% if true %}{% set x = 1 %}{% endif %}{{ x }}",
    "set several": "{% set a, b = 1, 2 %}{{ b }}{{ a }}{% set t = 1, %}{{ t }}",
    "set a condition": "{% set a = 1 if no else 2 %}{{ a }}",
    "set block": "{% set x %}a{{ number }}\n{% endset %}[{{ x }}]{{ x is string }}",
    "set block with filters": "{% set x | upper | trim %} ab {% endset %}[{{ x }}]",
    "set in a set block": "{% set y = 1 %}{% set x %}{% set y = 2 %}{{ y }}{% endset %}{{ x }}{{ y }}",
    "namespace": "{% set ns = namespace(n=0, found=false) %}{% for x in list %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}{{ ns.found }}",
    "namespace without the name": "{% set ns = namespace() %}{{ ns.x }}{% set ns.x = 1 %}{{ ns.x }}{{ ns['x'] }}",
    "namespace in a macro": "{% set ns = namespace(n=0) %}{% macro m() %}{% set ns.n = ns.n + 1 %}{% endmacro %}{{ m() }}{{ m() }}{{ ns.n }}",
    "set on what is no namespace": "{% set d = {} %}{% set d.x = 1 %}",
    "macro": "{% macro m(a, b=2, c=b) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(a=1, c=5) }} {{ m() }}",
    "macro with too many": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}",
    "macro with a wrong name": "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "macro sees what is set later": "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}",
    "macro does not set outside": "{% set x = 1 %}{% macro m() %}{% set x = 2 %}{{ x }}{% endmacro %}{{ m() }}{{ x }}",
    "macro calls itself": "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "macro in a loop": "{% for x in [1, 2] %}{% macro m() %}{{ x }}{% endmacro %}{{ m() }}{% endfor %}",
    "macro as a value": "{% macro m(x) %}<{{ x }}>{% endmacro %}{% set f = m %}{{ f(1) }}{{ m is callable }}",
    "call": "{% macro m(a) %}[{{ a }}{{ caller() }}]{% endmacro %}{% call m(1) %}body{{ number }}{% endcall %}",
    "call with arguments": "{% macro m() %}{{ caller(1, b=2) }}{% endmacro %}{% call(a, b) m() %}{{ a }}{{ b }}{% endcall %}",
    "filter block": "{% filter upper | trim %} ab{{ word }} {% endfilter %}!",
    "with": "{% set x = 1 %}{% with x = 2, y = x %}{{ x }}{{ y }}{% endwith %}{{ x }}",
    "generation": "a{% generation %}b{% set x = 2 %}{% endgeneration %}{{ x is defined }}",
    "undefined in text": "[{{ missing }}][{{ table.zz }}][{{ list[9] }}]",
    "unknown filter": "{{ word | nosuch }}",
    "unknown test": "{{ word is nosuch }}",
    "unknown tag": "{% nosuch %}",
    "unclosed if": "{% if true %}a",
    "unclosed output": "a {{ 1 ",
    "unclosed comment": "a {# ",
    "unbalanced": "{{ (1 }}",
    "bad character": "{{ 1 ? 2 }}",
    "empty output": "{{ }}",
    "break outside": "{% break %}",
    "assignment to a constant": "{% set true = 1 %}",
    "exception": "{{ raise_exception('Roles must alternate') }}",
    "loop variables after the loop": "{% for x in [1] %}{% endfor %}{{ x is defined }}{{ loop is defined }}",
    "deep attributes": "{{ people[0].tags[0] }}{{ people[1].tags[0] }}|{{ people[0]['name'][0] }}",
    "comparison with undefined": "{% if missing == 'x' %}a{% else %}b{% endif %}{% if missing != none %}c{% endif %}",
    "string concatenation in a loop": "{% set ns = namespace(s='') %}{% for x in words %}{% set ns.s = ns.s + x + ', ' %}{% endfor %}{{ ns.s.rstrip(', ') }}",
    "a filter on a call": "{% macro m() %} a {% endmacro %}[{{ m() | trim | upper }}]",
    "a test's argument in parentheses": "{{ 3 is in([1, 2, 3]) }}{{ not 3 is in [1] }}",
    "a table's methods on a namespace": "{% set ns = namespace(items=1) %}{{ ns.items }}",
}
