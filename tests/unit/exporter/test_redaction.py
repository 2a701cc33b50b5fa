"""Secrets never leave, and what is none is left alone to the byte."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefactor_exporter._core.events import RECORD, Event
from prefactor_exporter._core.redaction import REDACTED, Redactor
from prefactor_exporter.redaction import Redaction
from prefactor_exporter.sensitive import Sensitive

redact = Redactor(Redaction()).redact
encode = msgspec.json.encode

SECRET_KEYS = """
password Password PASSWORD passwd pwd db_password dbPassword new-password password2 user_passwords
passphrase secret secrets client_secret clientSecret CLIENT-SECRET app.secret authorization
Authorization proxy-authorization api_key apikey api-key apiKey APIKEY x-api-key openai_api_key
OPENAI_API_KEY api_keys access_token accessToken refresh_token refreshToken id_token auth_token
session_token sessionToken csrf-token bot_token x-vault-token VAULT_TOKEN token private_key
privateKey ssh_key secret_access_key aws_secret_access_key access_key encryption_key signing-key
cookie Cookie set-cookie Set-Cookie cookies credential credentials gcp_credentials
AccountKey account_key pass Pass PASS sessionid PHPSESSID JSESSIONID API_KEY_2 password2024
client_secret_12 api-key-2024-01-15 credentials123 passcode.3 API_KEYs
""".split()  # noqa: SIM905 (reads better than sixty quoted words)

# Cut in two, so that scanners of repositories keep calm.
SHAPES = [
    "sk-" + "abcdefghijklmnop1234567890",
    "sk-" + "proj-Ab1_cdefghijklmnop-1234567890",
    "sk-" + "ant-api03-abcdefghijklmnopqrstuvwxyz-1234567890AA",
    "sk_" + "live_abcdefghij1234567890",
    "rk_" + "test_abcdefghij1234567890",
    "ghp" + "_abcdefghijklmnopqrstuvwxyz1234567890",
    "gho" + "_abcdefghijklmnopqrstuvwxyz1234567890",
    "ghs" + "_abcdefghijklmnopqrstuvwxyz1234567890",
    "github" + "_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat" + "-abcdefghij1234567890",
    "hf" + "_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "npm" + "_abcdefghijklmnopqrstuvwxyz1234567890",
    "pypi" + "-AgEIcHlwaS5vcmcCJDAwMDAwMDAwLTAwMDAtMDAwMC0wMDAw",
    "SG" + ".abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
    "whsec" + "_abcdefghij1234567890abcd",
    "gldt" + "-abcdefghij1234567890",
    "xapp" + "-1-A0123456789-abcdefghij",
    "GOCSPX" + "-abcdefghij1234567890abcd",
    "123456789" + ":AAabcdefghijklmnopqrstuvwxyz1234567",
    "gsk" + "_abcdefghij1234567890abcd",
    "pcsk" + "_abcdefghij1234567890abcd",
    "xai" + "-abcdefghij1234567890abcd",
    "pplx" + "-abcdefghij1234567890abcd",
    "tvly" + "-abcdefghij1234567890abcd",
    "lsv2" + "_pt_abcdefghij1234567890abcd",
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ASIA" + "IOSFODNN7EXAMPLE",
    "xoxb" + "-1234567890-abcdefghij",
    "xoxp" + "-1234567890-abcdefghij",
    "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "-----BEGIN " + "PRIVATE KEY-----\nMIIEvQ\nabc\n-----END PRIVATE KEY-----",
    "-----BEGIN " + "RSA PRIVATE KEY-----\nMIIEvQ\nabc",
]
IN_CONTEXT = [
    ("Authorization: Bearer abc123def456", "Authorization: Bearer [redacted]"),
    ("BEARER abcdefghijklmnopqrstuvwxyz", "BEARER [redacted]"),
    ("curl -H 'authorization: bearer x1.y2-z3'", "curl -H 'authorization: bearer [redacted]'"),
    ("postgres://app:s3cr3t@db:5432/x", "postgres://[redacted]@db:5432/x"),
    ("see https://me:p@ss@example.org/a?b", "see https://[redacted]@example.org/a?b"),
    ('sent {"password": "hunter2", "n": 1} to', 'sent {"password": "[redacted]", "n": 1} to'),
    ("failed: {'api_key': 'hunter2'}", "failed: {'api_key': '[redacted]'}"),
    ('cut off {"a": "b", "secret" : "hunter2', 'cut off {"a": "b", "secret" : "[redacted]'),
    ("https://h/x?api_key=hunter2&b=1", "https://h/x?api_key=[redacted]&b=1"),
    ("wss://h/x?b=1&access_token=hunter2", "wss://h/x?b=1&access_token=[redacted]"),
    ("user=ada&pass=hunter2&page=2", "user=ada&pass=[redacted]&page=2"),
    ("export DB_PASSWORD=hunter2 && run", "export DB_PASSWORD=[redacted] && run"),
    ("TOKEN='hunter 2' ./run --fast", "TOKEN='[redacted]' ./run --fast"),
    ("aws_secret_access_key = hunter2", "aws_secret_access_key = [redacted]"),
    ("Server=x;Password=hunter2;Timeout=3", "Server=x;Password=[redacted];Timeout=3"),
    ("Name=x;AccountKey=hunter2==;Suffix=y", "Name=x;AccountKey=[redacted];Suffix=y"),
    ("Authorization: Basic aHVudGVyOmh1bnRlcjI=", "Authorization: Basic [redacted]"),
    ("said Basic aHVudGVyOmh1bnRlcjI=", "said Basic [redacted]"),
    ('Authorization: Digest user="x", r="hunter2"\nA: b', "Authorization: Digest [redacted]\nA: b"),
    ("Set-Cookie: sid=hunter2; Path=/\r\nA: b", "Set-Cookie: [redacted]\r\nA: b"),
    ('curl -H "X-Api-Key: hunter2" h', 'curl -H "X-Api-Key: [redacted]" h'),
    ("curl -H 'Cookie: a=b; c=hunter2' h", "curl -H 'Cookie: [redacted]' h"),
    ("curl -s -u me:hunter2 h", "curl -s -u [redacted] h"),
    ("sshpass -p hunter2 ssh h", "sshpass -p [redacted] ssh h"),
    ("deploy --password hunter2 --fast", "deploy --password [redacted] --fast"),
    ("deploy --api-key=hunter2 --fast", "deploy --api-key=[redacted] --fast"),
    ("password: correct horse\nuser: x", "password: [redacted]\nuser: x"),
    ("its password: hunter2, or so", "its password: [redacted], or so"),
    ("your API key: hunter2", "your API key: [redacted]"),
    ("login('ada', password='hunter2', n=1)", "login('ada', password='[redacted]', n=1)"),
    ('def f(password: str = "hunter2"):', 'def f(password: str = "[redacted]"):'),
    ('os.environ["API_KEY"] = "hunter2"', 'os.environ["API_KEY"] = "[redacted]"'),
    ("{'pin': 1, 'token': hunter2, 'n': 1}", "{'pin': 1, 'token': [redacted], 'n': 1}"),
    ('{"password"=>"hunter2"}', '{"password"=>"[redacted]"}'),
    ("[('authorization', 'Basic x'), ('a', 'b')]", "[('authorization', '[redacted]'), ('a', 'b')]"),
    ("[(b'cookie', b'a=hunter2')]", "[(b'cookie', b'[redacted]')]"),
    ("{'name': 'Cookie', 'value': 'hunter2'}", "{'name': 'Cookie', 'value': '[redacted]'}"),
    ('log "{\\"url\\": \\"h?token=hunter2\\"}"', 'log "{\\"url\\": \\"h?token=[redacted]\\"}"'),
    ('log "{\\"token\\": \\"hunter2\\"}" end', 'log "{\\"token\\": \\"[redacted]\\"}" end'),
]

ORDINARY = [
    {"input_tokens": 12, "output_tokens": 3, "max_tokens": 100, "total_tokens": 15},
    {"token_usage": {"prompt_tokens": 1}, "token_count": 7, "tokens": ["a", "b"], "tokenizer": "x"},
    {"token": 5, "next_page_token": "abc", "eos_token": "</s>", "pad_token": "<pad>"},
    {"logprobs": [{"token": "Hello", "logprob": -0.1}]},
    {"secretary": "Ms. Jones", "passport": "required", "compass": "north", "passenger": "Ann"},
    {"author": "me", "authority": "x", "organization": "y", "authorized": "z", "key": "value"},
    {"primary_key": "id", "keyword": "a", "keywords": ["b"], "monkey": "c", "keyboard": "qwerty"},
    {"pwd": "/home/me", "session_id": "s-1", "private_key_id": "k1", "access_key_id": "none"},
    {"password": None, "secret": False, "cookie": "", "has_password": True},
    {"text": "the bearer of this letter; bearer authentication; a secret password"},
    {"text": "risk-averse disk-based task-oriented sk-learn sk-lowercase-words-only-here"},
    {"text": "see https://example.org:8080/path?user=me@example.org and mail me@example.org"},
    {"text": "eyJ is how it starts, AKIA and AIza too; xoxb- and ghp_ as well"},
    {"text": '{"city": "Paris", "days": 7}', "more": '{ "spaces" :  "kept" }', "no": "{not json}"},
    {"text": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"},
    {"text": "tokens=312 max_tokens: 100 token=5, input_tokens = 7; session_id=s-1 pass: all"},
    {"text": "password_field = TextField()\npassword = getpass.getpass('Password: ')"},
    {"text": 'Client(api_key=os.environ["KEY"], token=token, secret=self.secret)'},
    {"text": "def login(password: str, api_key: Optional[str] = None) -> Token: ..."},
    {"text": "interface A { password: string; token?: string }\nif token == 'x': pass"},
    {"text": "curl -H 'Authorization: Bearer $TOKEN' 'https://h?api_key={key}&token=<your token>'"},
    {"text": "SELECT a FROM users WHERE password = ? AND token = %s; secrets = []"},
    {"text": "Basic understanding of HTML5, docker run -u 1000:1000"},
    {
        "headers": [["accept", "text/html"], ["a", "b"]],
        "variables": [{"name": "city", "value": "x"}],
    },
    {"required": ["name", "password"], "passed": 3, "pass": 4, "argv": ["--password", "--fast"]},
    {"text": "Grüße, 你好, 😀, \x01 and \\u0041"},
    {
        "tools": [
            {
                "name": "login",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "password": {"type": "string", "description": "the user's password"},
                        "api_key": {"type": "string"},
                    },
                },
            }
        ]
    },
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_values_under_secret_keys_never_leave(key):
    """Whatever the spelling and the depth, also in JSON text within a string, twice over."""
    text = json.dumps({"deep": [{key: "hunter2"}]})
    payload = {
        "plain": {key: "hunter2"},
        # A bare token, or what passed, is a secret only as text.
        "listed": [
            {
                key: "hunter2"
                if key.lower() in ("token", "pass")
                else ["hunter2", {"inner": "hunter2"}]
            }
        ],
        "text": text,
        "twice": json.dumps({"arguments": text}),
        "spaced": text.replace('":', '" :'),
    }
    redacted = redact(encode(payload))
    decoded = json.loads(redacted)

    assert b"hunter2" not in redacted
    assert decoded["plain"] == {key: REDACTED}
    assert json.loads(decoded["text"]) == {"deep": [{key: REDACTED}]}
    assert decoded.keys() == payload.keys()


@pytest.mark.parametrize("secret", SHAPES)
def test_secrets_are_known_by_their_shape(secret):
    """High-confidence shapes are found in values, in text, in JSON text and in errors."""
    payload = {
        "value": secret,
        "text": f"use {secret} now",
        "json": json.dumps({"note": secret}),
        "list": [{"message": f"ValueError: bad key '{secret}'"}],
    }
    redacted = redact(encode(payload))

    assert secret[8:40].encode() not in redacted
    assert json.loads(redacted)["value"] == REDACTED


@pytest.mark.parametrize(("text", "expected"), IN_CONTEXT)
def test_only_the_secret_is_cut_out_of_a_text(text, expected):
    """What stands around a secret is kept."""
    assert json.loads(redact(encode({"text": text}))) == {"text": expected}


@pytest.mark.parametrize("payload", ORDINARY, ids=range(len(ORDINARY)))
def test_ordinary_payloads_keep_their_very_bytes(payload):
    """Counts of tokens, schemas of tools and prose about secrets are none of our business."""
    data = encode(payload)

    assert redact(data) is data


@pytest.mark.parametrize("name", ["Authorization", "x-api-key", "DB_PASSWORD", "cookie"])
def test_headers_and_variables_may_be_lists(name):
    """Pairs, and objects that say what their value is called, in either order."""
    payload = {
        "pairs": [[name, "hunter2"], ["accept", "x"]],
        "named": [{"name": name, "value": "hunter2"}, {"value": "hunter2", "on": 1, "key": name}],
    }
    hidden = json.loads(redact(encode({**payload, "text": json.dumps(payload)})))

    assert hidden["pairs"] == [[name, REDACTED], ["accept", "x"]]
    assert [it["value"] for it in hidden["named"]] == [REDACTED, REDACTED]
    assert json.loads(hidden["text"]) == {"pairs": hidden["pairs"], "named": hidden["named"]}


def test_arguments_of_a_command_may_be_a_list():
    hidden = json.loads(redact(encode({"argv": ["run", "--api-key", "hunter2", "--n", "3"]})))

    assert hidden == {"argv": ["run", "--api-key", REDACTED, "--n", "3"]}


def test_own_keys_are_found_in_text():
    own = Redactor(Redaction(keys=("customer_no",))).redact
    text = "h?Customer-No=hunter2 customerNo: hunter2, --customer-no hunter2"

    assert json.loads(own(encode({"text": text})))["text"].count(REDACTED) == 3
    assert b"hunter2" not in own(encode({"text": text}))


def test_escaped_keys_do_not_slip_through():
    """A key written with escapes is the same key."""
    data = rb'{"\u0070assword":"hunter2","n":"{\"p\\u0061ssword\":\"hunter2\"}"}'
    decoded = json.loads(redact(data))

    assert decoded == {"password": REDACTED, "n": '{"password":"[redacted]"}'}


def test_a_sensitive_value_under_a_secret_key_keeps_its_wrapper():
    """The API's wrapper stays one, with the redacted text inside."""
    redacted = redact(b'{"password":{"$sensitive":"number","value":7}}')

    assert json.loads(redacted) == {"password": {"$sensitive": "string", "value": REDACTED}}


@pytest.mark.parametrize("key", ["internal_id", "Internal-Id", "internalId", "INTERNAL ID"])
def test_own_keys_are_added(key):
    """A key of one's own is found in every spelling."""
    redacted = Redactor(Redaction(keys=("internal_id",))).redact(encode({"a": [{key: 7}], "id": 7}))

    assert json.loads(redacted) == {"a": [{key: REDACTED}], "id": 7}


def test_own_keys_may_be_in_any_script_and_have_digits():
    """Keys that the first look cannot fold are found all the same."""
    redacted = Redactor(Redaction(keys=("Schlüssel", "pin2", "42"))).redact(
        encode({"SCHLÜSSEL": "x", "PIN_2": "x", "42": "x", "pin": "y"})
    )

    assert json.loads(redacted) == {"SCHLÜSSEL": REDACTED, "PIN_2": REDACTED, "42": REDACTED} | {
        "pin": "y"
    }


def test_own_patterns_are_added():
    """What a pattern matches is replaced within its string."""
    redacted = Redactor(Redaction(patterns=(r"\bEMP-\d+",))).redact(
        encode({"a": "by EMP-12, done"})
    )

    assert json.loads(redacted) == {"a": "by [redacted], done"}


def test_the_hook_has_the_last_word():
    """It is given the payload after everything else and returns what is delivered."""
    hooked = Redactor(Redaction(hook=lambda payload: {**payload, "seen": True})).redact

    assert json.loads(hooked(b'{"password":"x"}')) == {"password": REDACTED, "seen": True}


def fails(payload):
    raise ValueError(payload)


def leaves(payload):
    raise SystemExit


@pytest.mark.parametrize("hook", [fails, leaves, lambda _: None, Sensitive])
def test_a_failing_hook_withholds_the_payload(hook):
    """Nothing of the payload leaves, nothing is raised, and the reason is told."""
    decoded = json.loads(Redactor(Redaction(hook=hook)).redact(b'{"name":"hunter2"}'))

    assert list(decoded) == ["redacted"]
    assert "hunter2" not in decoded["redacted"]


@pytest.mark.parametrize(
    "data", [b'{"password":', b'{"password":"\xff"}', b"[" * 100_000 + b"\\u0070"]
)
def test_what_cannot_be_judged_is_withheld(data):
    """A suspicious payload that cannot be decoded does not leave."""
    assert list(json.loads(redact(data))) == ["redacted"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"keys": ("",)},
        {"keys": ("-_",)},
        {"keys": ["a"]},
        {"keys": "password"},
        {"patterns": ("(",)},
        {"patterns": ("x*",)},
        {"patterns": (7,)},
        {"hook": "hook"},
    ],
)
def test_settings_that_make_no_sense_are_refused(arguments):
    """The error names the field and shows the value."""
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Redaction(**arguments)


words = st.text("abcdefghijklm nopqrstuvwxyz,.äß'\n\"{}[]:/", max_size=40)
keys = st.sampled_from(["model", "content", "input_tokens", "tokens", "a b", 'q"', "token_count"])
harmless = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | words,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(keys, inner)
        | st.dictionaries(keys, inner).map(json.dumps)
    ),
)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.dictionaries(keys, harmless))
def test_harmless_payloads_are_untouched(payload):
    """Without secrets, redaction changes nothing, whatever the shape, and however hard it looks."""
    data = encode(payload)
    thorough = Redactor(Redaction(patterns=("never-matches-this",))).redact

    assert redact(data) == data
    assert thorough(data) == data


@given(st.binary())
def test_nothing_is_ever_raised(data):
    """Even bytes that are no JSON come back, or are withheld."""
    assert isinstance(redact(data), bytes)


@given(
    st.lists(
        st.tuples(
            st.dictionaries(keys, harmless, max_size=2),
            st.none() | st.sampled_from([{key: "hunter2"} for key in SECRET_KEYS]),
        ),
        max_size=40,
    )
)
def test_looking_at_many_together_finds_what_looking_at_each_finds(recorded):
    events = [
        Event(RECORD, "", "", 0, encode(payload), result=encode(result) if result else None)
        for payload, result in recorded
    ]
    apart = [(redact(e.payload), redact(e.result) if e.result else None) for e in events]

    together = Redactor(Redaction())
    for start in range(0, len(events), 7):
        together.redact_events(events[start : start + 7])

    assert [(event.payload, event.result) for event in events] == apart
    assert all(b"hunter2" not in (event.result or b"") for event in events)


def test_sizes_follow_what_redaction_makes_of_a_payload():
    event = Event(RECORD, "", "", 0, encode({"password": "x" * 5000}))
    event.measure()
    before = event.size
    Redactor(Redaction()).redact_events([event])

    assert before - event.size == 5000 - len(REDACTED)


@pytest.mark.slow
@settings(max_examples=50)
@given(
    payload=st.dictionaries(keys, harmless),
    key=st.sampled_from(SECRET_KEYS),
    levels=st.integers(0, 3),
)
def test_a_planted_secret_is_found(payload, key, levels):
    """Planted in any payload, under any number of layers of JSON text, it does not leave."""
    planted = {key: "hunter2"}
    for _ in range(levels):
        planted = {"arguments": json.dumps(planted)}

    assert b"hunter2" not in redact(encode({**payload, "planted": planted}))


LONG = "x" * 10_000
NOTATIONS = [
    *(
        "{}=hunter2",
        "a {} = hunter2 b",
        "h?{}=hunter2&b=1",
        "h?b=1&{}=hunter2",
        "a;{}=hunter2;b",
    ),
    *(
        '{}="hunter2"',
        "f({}='hunter2', b)",
        "{}: hunter2",
        "'{}: hunter2'",
        "a\n{}: hunter2\nb",
    ),
    *("{{'{}': 'hunter2'}}", '{{"a": 1, "{}": "hunter2"', '{{\\"{}\\": \\"hunter2\\"}} b'),
    *('d["{}"] = "hunter2"', "[('{}', 'hunter2')]", "{{'name': '{}', 'value': 'hunter2'}}"),
]


def check_that_it_is_found(text, levels):
    planted = {"text": text}
    for _ in range(levels):
        planted = {"arguments": json.dumps(planted)}
    hidden = redact(encode(planted))

    assert b"hunter2" not in hidden
    for _ in range(levels):
        hidden = json.loads(hidden)["arguments"]
    assert json.loads(hidden).keys() == {"text"}


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_planted_in_text_is_found(key):
    """In every notation, under any number of layers of JSON, and what holds it stays JSON."""
    for notation, levels in itertools.product(NOTATIONS, range(4)):
        check_that_it_is_found(f" \n{notation.format(key)}", levels)
        # Between much other text each suspicion is looked into by itself.
        check_that_it_is_found(f"{LONG}\n{notation.format(key)}", levels)


@given(
    before=words,
    notation=st.sampled_from(NOTATIONS),
    key=st.sampled_from(SECRET_KEYS),
    levels=st.integers(0, 3),
)
def test_whatever_stands_before_it_hides_no_secret(before, notation, key, levels):
    check_that_it_is_found(f"{before} \n{notation.format(key)}", levels)
