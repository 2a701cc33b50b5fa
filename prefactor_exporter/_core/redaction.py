"""Replace secrets in encoded payloads. Pure; on the worker.

Nearly every payload has none, so the first look is a handful of scans over the bytes, each led by a
byte that is rare in JSON and text (the regular expression engine leaps from one to the next). It
may cry wolf. Only then is the payload decoded and walked, which decides; and a payload in which
nothing was found keeps its very bytes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from prefactor_exporter._core.events import Event
from prefactor_exporter._core.snapshot import SENSITIVE, snapshot
from prefactor_exporter.redaction import Redaction

REDACTED: Final = "[redacted]"

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode

# --- Keys -----------------------------------------------------------------------------------------

#: A key is secret if it ends so, in lower case and without separators; a plural "s" is ignored.
_SECRET_ENDINGS: Final = (  # of six letters at least, for the first look
    "accesskey",
    "accountkey",
    "apikey",
    "authkey",
    "authorization",
    "cookie",
    "credential",
    "encryptionkey",
    "masterkey",
    "passcode",
    "passphrase",
    "passwd",
    "password",
    "passwordconfirmation",
    "passwordhash",
    "privatekey",
    "rolekey",
    "secret",
    "secretkey",
    "servicekey",
    "sharedkey",
    "signingkey",
    "sshkey",
    "subscriptionkey",
)
#: What makes a "...token" a secret; most others (next page, end of sequence) are none.
_SECRET_TOKENS: Final = tuple(
    f"{word}token"
    for word in (
        *("access", "api", "auth", "bearer", "bot", "client", "csrf", "deploy", "github"),
        *("gitlab", "id", "identity", "jwt", "oauth", "personal", "private", "refresh"),
        *("secret", "security", "service", "session", "slack", "user", "xsrf"),
    )
)
_SEPARATORS: Final = re.compile(r"[-_. ]+")


def _normal(key: str) -> str:
    return _SEPARATORS.sub("", key).lower()


def is_secret_key(key: str, value: object, own: frozenset[str] = frozenset()) -> bool:
    """Return whether *value* under *key* is a secret; *own* are more keys, normalized."""
    name = _normal(key)
    if name in own:
        return True
    if name.endswith("token"):
        if name == "token":
            return isinstance(value, str)
        # As environment variables and headers are written.
        shouted = key.isupper() and "_" in key
        return name.endswith(_SECRET_TOKENS) or shouted or key.lower().startswith("x-")
    if name == "pwd" or name.endswith(("dbpwd", "userpwd")):
        # In a shell's environment it is the working directory.
        return not (isinstance(value, str) and value.startswith(("/", "~", ".", "C:")))
    return name.rstrip("0123456789").removesuffix("s").endswith(_SECRET_ENDINGS)


# --- Shapes ---------------------------------------------------------------------------------------

#: Everything that may be tried again from the next character is bounded, or a long text that only
#: looks like a secret would take the worker minutes.
_SHAPES: Final = re.compile(
    r"""
    \b(?:
        sk-(?=[\w-]{0,64}[0-9A-Z])[A-Za-z0-9_-]{16,}    # OpenAI, Anthropic and those like them
      | [sr]k_(?:live|test)_[A-Za-z0-9]{10,}            # Stripe
      | gh[pousr]_[A-Za-z0-9]{20,}                      # GitHub
      | github_pat_[A-Za-z0-9_]{20,}
      | glpat-[A-Za-z0-9_-]{20,}                        # GitLab
      | hf_[A-Za-z0-9]{30,}                             # Hugging Face
      | npm_[A-Za-z0-9]{36}
      | A[KS]IA[0-9A-Z]{16}\b                           # AWS
      | xox[abeoprs]-[A-Za-z0-9-]{10,}                  # Slack
      | AIza[0-9A-Za-z_-]{30,}                          # Google
      | (?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*     # JSON web token
    )
    # A bearer token has a digit or is long; "bearer authentication" is an English phrase.
    | (?<=earer[ ])(?=[A-Za-z._~+/=-]{0,64}[0-9]|[A-Za-z._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}
    | (?<=EARER[ ])(?=[A-Za-z._~+/=-]{0,64}[0-9]|[A-Za-z._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}
    | (?<=://)[^\s/"'<>:@]*:[^\s/"'<>]+(?=@)            # user and password in a URL
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY.*?(?:-----END[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

#: Key, colon and opening quote in text that is like JSON but is none, or a part of it only.
_MEMBERS: Final = re.compile(r"""(\\{0,15}["'])([\w .-]{1,64})\1\s*:\s*(\\{0,15}["'])""")

# --- The first look -------------------------------------------------------------------------------

#: What may hide a key or a shape from the other scans.
_unicode_escape: Final = re.compile(rb"\\(?=u)").search
_dash: Final = re.compile(rb"-(?:(?<=sk-)|(?<=xox[a-z]-)|(?<=pat-)|(?<=-----)BEGIN)").search
_underscore: Final = re.compile(
    rb"_(?<=[ahrsp][fkmoprstu]_)"
    rb"(?:(?<=gh[pousr]_)|(?<=hub_pat_)|(?<=[sr]k_)(?:live|test)_|(?<=hf_)|(?<=npm_))"
).search
_capital_i: Final = re.compile(rb"I(?:(?<=A[KS]I)A|(?<=AI)za)").search

#: How a key that may be secret ends, in seven characters, or in three where those tell enough; "{}"
#: is what separates two words where people write one. Far more precise than the last letters alone:
#: "function" and "code" are everywhere.
_LONG_ENDINGS: Final = (
    *(".secret", "secrets", ".cookie", "cookies", "ization", "zations", "rmation", "mations"),
    *("dential", "entials", "assword", "sswords", "ss{}word", "s{}words", ".phrase", "phrases"),
    *("asscode", "sscodes", "ss{}code", "s{}codes", "ordhash", "rd{}hash"),
)
_SHORT_ENDINGS: Final = ("key", "eys", "ken", "swd", "wds", "pwd")


def _ending(quote: str) -> str:
    """Return the pattern, to be used behind a colon, for such an ending before *quote*."""
    # The last three letters first, as a tree and in both cases: most other keys fail at its root.
    tree: dict[str, set[str]] = {}
    for ending in (*_LONG_ENDINGS, *_SHORT_ENDINGS):
        first, *others = (f"[{letter}{letter.upper()}]" for letter in ending[-3:])
        tree.setdefault(first, set()).add("".join(others))
    quick = "|".join(f"{first}(?:{'|'.join(sorted(rest))})" for first, rest in sorted(tree.items()))
    long = "|".join(_LONG_ENDINGS).replace("{}", r"[_.\ -]")
    short = "|".join(_SHORT_ENDINGS)
    return rf"""
        (?<=(?:{quick}){quote}:)
        (?: (?<=(?i:{short}){quote}:) | (?<=(?i:{long}){quote}:) )
    """


#: The colon behind a key that may be secret.
_QUOTE: Final = """["']"""
_key_ahead: Final = re.compile(f":{_ending(_QUOTE)}".encode(), re.VERBOSE).search
_INNER_QUOTE: Final = rf"\\{_QUOTE}"
#: The same where the key is a member of JSON within a string, or something follows its last letter.
#: What is rare in keys passes for secret here, because the next look is precise.
_odd_key_ahead: Final = re.compile(
    rf"""
    :(?<=[0-9_.\ \\"'-]["'\ ]:)
    (?: (?<=[0-9_.\ -]["']:)
      | (?<=["'\ ]\ :)
      | (?<=[0-9_.\ \\-]\\["']:)
      | {_ending(_INNER_QUOTE)}
    )
    """.encode(),
    re.VERBOSE,
).search

#: Lower case, and without what may stand between the words of a key or between key and colon;
#: digits go as well, as in "password2".
_FOLD: Final = bytes(byte | 32 if 65 <= byte <= 90 else byte for byte in range(256))  # noqa: PLR2004 (A to Z)
_BETWEEN: Final = b" -_.\\0123456789"
_DIGITS: Final = re.compile("[0-9]")


def _shaped(data: bytes) -> bool:
    """Return whether *data* may have a secret of a known shape, or hides what it has."""
    return (
        _dash(data) is not None
        or _underscore(data) is not None
        or (b"J" in data and b"eyJ" in data)
        or _capital_i(data) is not None
        or (b"@" in data and b"://" in data)
        or b"earer " in data
        or (b"R" in data and b"EARER " in data)
        or (b"\\" in data and _unicode_escape(data) is not None)
    )


def _keys_ahead(own: frozenset[str]) -> Callable[[bytes], object]:
    """Return the search, in folded bytes, for the end of a key that may be secret."""
    endings = {ending[-6:] for ending in _SECRET_ENDINGS}
    endings |= {f"{ending[-5:]}s" for ending in _SECRET_ENDINGS}
    endings.add(".token")
    # Five sets of letters first: one step that tells nearly every other key apart from these.
    letters = "".join(
        f"[{''.join(sorted(set(column)))}]" for column in list(zip(*endings, strict=True))[1:]
    )
    known = rf"""(?<={letters}["']:)(?<=(?:{"|".join(sorted(endings))})["']:)"""
    short = {"pwd", *(_DIGITS.sub("", key) for key in own)}
    others = "|".join(rf"""(?<={key}["']:)""" for key in sorted(short))
    return re.compile(f":(?:{known}|{others})".encode(), re.DOTALL).search


# --- Redacting ------------------------------------------------------------------------------------


_MOST_TOGETHER: Final = 64
_MOST_BYTES: Final = 64 * 1024


def _group(events: Sequence[Event], start: int, most: int) -> Sequence[Event]:
    """Return the next of *events* to be looked at together, at least one."""
    size = 0
    for position in range(start, min(start + most, len(events))):
        size += events[position].size
        if size > _MOST_BYTES:
            return events[start : max(position, start + 1)]
    return events[start : start + most]


class Redactor:
    """Applies a `Redaction` to encoded payloads.

    Args:
        redaction: What to replace.
    """

    __slots__ = (
        "_alone",
        "_always",
        "_hook",
        "_own",
        "_patterns",
        "_secret_key_ahead",
        "_together",
    )

    def __init__(self, redaction: Redaction) -> None:
        self._own = frozenset(_normal(key) for key in redaction.keys)
        self._patterns = tuple(re.compile(pattern) for pattern in redaction.patterns)
        self._hook = redaction.hook
        # The first look knows letters of ASCII only.
        odd = any(re.fullmatch(r"[a-z0-9]*[a-z][a-z0-9]*", key) is None for key in self._own)
        self._always = odd or bool(self._patterns) or self._hook is not None
        self._secret_key_ahead = _keys_ahead(self._own)
        # How many events share a first look, fewer where that often finds something; and how many
        # were looked at alone since.
        self._together = 1 if self._always else _MOST_TOGETHER
        self._alone = 0

    def redact_events(self, events: Sequence[Event]) -> None:
        """Redact the payloads and results of *events* in place. Used by one thread at a time.

        Many small payloads are looked at together, because a look costs more to begin than to do.
        """
        start = 0
        while start < len(events):
            group = _group(events, start, self._together)
            start += len(group)
            if len(group) > 1:
                data = b"\n".join([p for e in group for p in (e.payload, e.result) if p])
                if not (_shaped(data) or self._keyed(data)):
                    self._together = min(_MOST_TOGETHER, self._together * 2)
                    continue
                self._together = max(1, self._together // 2)
            elif not self._always:
                self._alone += 1
                if self._alone >= _MOST_TOGETHER:
                    self._alone = 0
                    self._together = min(_MOST_TOGETHER, self._together * 2)
            for event in group:
                self._redact_event(event)

    def _redact_event(self, event: Event) -> None:
        payload, result = event.payload, event.result
        if payload:
            event.payload = self.redact(payload)
        if result is not None:
            event.result = self.redact(result)
        if event.payload is not payload or event.result is not result:
            event.measure()

    def redact(self, data: bytes) -> bytes:
        """Return *data*, a JSON object, without its secrets; the same bytes if it has none.

        Never raises: a payload that cannot be judged is withheld as a whole.
        """
        try:
            shaped = _shaped(data)
            if not (shaped or self._always or self._keyed(data)):
                return data
            payload = _decode(data)
            redacted = self._value(payload, shaped=shaped)
            if self._hook is None:
                return data if redacted is payload else _encode(redacted)
            return self._hooked(redacted)
        except BaseException as error:  # noqa: BLE001 (a hook that exits must not end the worker)
            # Its message may well quote the payload.
            return _encode({"redacted": f"redaction failed: {type(error).__name__}"})

    def _keyed(self, data: bytes) -> bool:
        """Return whether *data* may have a secret key."""
        if not self._own and _key_ahead(data) is None and _odd_key_ahead(data) is None:
            return False
        return self._secret_key_ahead(data.translate(_FOLD, _BETWEEN)) is not None

    def _hooked(self, payload: Any) -> bytes:
        assert self._hook is not None  # noqa: S101 (for the type checker)
        answer = self._hook(payload)
        if answer is None:
            return _encode({"redacted": "the redaction hook returned None"})
        data, flags = snapshot(answer)
        if flags & SENSITIVE:
            return _encode({"redacted": "the redaction hook returned a Sensitive"})
        return data

    # Each of these returns the very object it was given if there was nothing to replace. *shaped*:
    # there may be a secret of a known shape; looking for those in every string is what costs most.

    def _value(self, value: Any, *, shaped: bool) -> Any:
        kind = type(value)
        if kind is str:
            return self._text(value, shaped=shaped)
        if kind is dict:
            return self._object(value, described=False, shaped=shaped)
        if kind is list:
            values = [self._value(member, shaped=shaped) for member in value]
            return values if _changed(value, values) else value
        return value

    def _object(self, value: dict[str, Any], *, described: bool, shaped: bool) -> dict[str, Any]:
        """Redact an object; *described*: it is the "properties" of a JSON schema."""
        out: dict[str, Any] = {}
        for key, member in value.items():
            if described and type(member) is dict:
                out[key] = self._value(member, shaped=shaped)
            elif is_secret_key(key, member, self._own) and not (
                # The log probabilities of what a model wrote.
                key == "token" and "logprob" in value
            ):
                out[key] = _blank(member)
            elif type(member) is dict:
                described_below = key == "properties" and _is_schema(member)
                out[key] = self._object(member, described=described_below, shaped=shaped)
            else:
                out[key] = self._value(member, shaped=shaped)
        return out if _changed(value.values(), out.values()) else value

    def _text(self, text: str, *, shaped: bool) -> str:
        ends = text[:1] + text[-1:]
        if ends not in _JSON_ENDS:
            stripped = text.strip()
            ends = stripped[:1] + stripped[-1:]
        if ends in _JSON_ENDS and len(text) > 2:  # noqa: PLR2004 (the two ends)
            try:
                inner = _decode(text)
            except (ValueError, RecursionError):  # like JSON, but none
                pass
            else:
                redacted = self._value(inner, shaped=shaped)
                return text if redacted is inner else _encode(redacted).decode()
        if ":" in text:
            text = self._members(text)
        if shaped:
            text = _SHAPES.sub(REDACTED, text)
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def _members(self, text: str) -> str:
        """Redact the members of objects that stand within other text."""
        pieces: list[str] = []
        done = 0
        for match in _MEMBERS.finditer(text):
            start = match.end()
            if start < done or not is_secret_key(match[2], "", self._own):
                continue
            end = re.compile(r"(?<!\\)" + re.escape(match[3])).search(text, start)
            stop = len(text) if end is None else end.start()
            if stop > start:
                pieces += (text[done:start], REDACTED)
                done = stop
        return "".join((*pieces, text[done:])) if pieces else text


_JSON_ENDS: Final = frozenset({"{}", "[]", '""'})


def _is_schema(properties: dict[str, Any]) -> bool:
    """Return whether *properties* describes members, as in the parameters of a tool."""
    return all(
        type(member) is dict and not member.keys().isdisjoint(_SCHEMA_WORDS)
        for member in properties.values()
    )


_SCHEMA_WORDS: Final = frozenset({"$ref", "allOf", "anyOf", "const", "enum", "oneOf", "type"})


def _blank(value: Any) -> Any:
    """Return *value* with everything in it redacted, its keys and shape kept."""
    kind = type(value)
    if kind is dict:
        if "$sensitive" in value:
            return {**value, "$sensitive": "string", "value": REDACTED}
        out = {key: _blank(member) for key, member in value.items()}
        return out if _changed(value.values(), out.values()) else value
    if kind is list:
        values = [_blank(member) for member in value]
        return values if _changed(value, values) else value
    if value is None or kind is bool or value in ("", REDACTED):
        return value
    return REDACTED


def _changed(before: Any, after: Any) -> bool:
    return any(old is not new for old, new in zip(before, after, strict=True))
