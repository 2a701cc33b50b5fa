"""Replace secrets in encoded payloads. Pure; on the worker.

Nearly every payload has none, so the first look is a handful of scans over the bytes, each led by a
byte that is rare in JSON and text (the regular expression engine leaps from one to the next). It
may cry wolf. Only then is the payload decoded and walked, which decides; and a payload in which
nothing was found keeps its very bytes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

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
#: The cookies that hold a session. A "session_id" names something else, and is none.
_SESSIONS: Final = frozenset({"sessionid", "SESSIONID", "jsessionid", "JSESSIONID", "PHPSESSID"})
_SEPARATORS: Final = re.compile(r"[-_. ]+")


def _normal(key: str) -> str:
    return _SEPARATORS.sub("", key).lower()


def is_secret_key(key: str, value: object, own: frozenset[str] = frozenset()) -> bool:
    """Return whether *value* under *key* is a secret; *own* are more keys, normalized."""
    name = _normal(key)
    if name in own or key in _SESSIONS:
        return True
    if name == "pass":  # and not how many did
        return isinstance(value, str)
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


def _later(pattern: str, flags: int = 0) -> Callable[[], re.Pattern[str]]:
    """Return what compiles *pattern* when first needed: few processes ever meet a secret."""
    return cache(partial(re.compile, pattern, flags))


# --- Shapes ---------------------------------------------------------------------------------------

#: Everything that may be tried again from the next character is bounded, or a long text that only
#: looks like a secret would take the worker minutes.
_SHAPES: Final = _later(
    r"""
    \b(?:
        sk-(?=[\w-]{0,64}[0-9A-Z])[A-Za-z0-9_-]{16,}    # OpenAI, Anthropic and those like them
      | [sr]k_(?:live|test)_[A-Za-z0-9]{10,}            # Stripe
      | whsec_[A-Za-z0-9]{20,}
      | SG\.[A-Za-z0-9_-]{16,64}\.[A-Za-z0-9_-]{16,}     # SendGrid
      | pypi-AgE[A-Za-z0-9_-]{16,}                      # PyPI
      | [0-9]{8,10}:AA[A-Za-z0-9_-]{33}                 # Telegram
      | (?:gsk|pcsk)_[A-Za-z0-9_]{20,}                  # Groq, Pinecone
      | (?:xai|pplx|tvly)-(?=[\w-]{0,64}[0-9A-Z])[A-Za-z0-9-]{20,}
      | lsv2_[a-z]{2}_[A-Za-z0-9_]{20,}                 # LangSmith
      | gh[pousr]_[A-Za-z0-9]{20,}                      # GitHub
      | github_pat_[A-Za-z0-9_]{20,}
      | gl(?:pat|dt|rt|ptt|cbt|soat|ft|imt|agent)-[A-Za-z0-9_-]{20,}    # GitLab
      | hf_[A-Za-z0-9]{30,}                             # Hugging Face
      | npm_[A-Za-z0-9]{36}
      | A[KS]IA[0-9A-Z]{16}\b                           # AWS
      | (?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,}        # Slack
      | AIza[0-9A-Za-z_-]{30,}                          # Google
      | GOCSPX-[A-Za-z0-9_-]{20,}
      | (?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*     # JSON web token
    )
    # Basic credentials are long and have a digit or padding; "Basic English" has neither.
    | (?<=\bBasic[ ])(?=[A-Za-z+/]{0,64}[0-9=])[A-Za-z0-9+/]{12,}={0,2}
    # A bearer token has a digit or is long; "bearer authentication" is an English phrase.
    | (?<=earer[ ])(?=[A-Za-z._~+/=-]{0,64}[0-9]|[A-Za-z._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}
    | (?<=EARER[ ])(?=[A-Za-z._~+/=-]{0,64}[0-9]|[A-Za-z._~+/=-]{20})[A-Za-z0-9._~+/=-]{8,}
    | (?<=://)[^\s/"'<>:@]*:[^\s/"'<>]+(?=@)            # user and password in a URL
    | (?: (?<=\bsshpass[ ]-p) | (?<=\bsshpass[ ]-p[ ]) ) [^\s"'\\]+
    | -----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY.*?(?:-----END[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----|\Z)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)

#: The user and the password that curl is given, and what comes before them.
_CURL_USER: Final = _later(
    r"""(\bcurl\b[^\n]{0,400}?\ (?:-u|--user)[ =]?["']?)
    [^\s:"'\\$-][^\s:"'\\$]{0,64}:[^\s"'\\$]+""",
    re.VERBOSE,
)

# --- Keys in text ---------------------------------------------------------------------------------

#: A word, and what makes it the key of the value behind it: in objects of any notation, settings,
#: headers, addresses and command lines. A word is tried once, and never gives back a letter.
_ASSIGNED: Final = _later(
    r"""
    (?<![\w.-]) (?P<dashes>--)?+ (?P<key>[\w.-]++)
    (?:
        (?P<quote>\\{0,15}+["'`]) \]? \s*+
        (?: => | [:=](?!=) | , \s*+ \\{0,15}+["'](?i:value)\\{0,15}+["'] \s*+ : | (?P<pair>,) ) \s*+
      | \]?[ \t]*+ (?: (?P<colon>:)(?![:=]) | := | => | (?P<equals>=)(?![=~]) ) [ \t]*+
      | (?(dashes) [ ]++ (?![|;&<>-]) | (?!) )
    )
    """,
    re.VERBOSE,
)
#: What stands before the key of a pair, before a word that is the second half of a key ("api key"),
#: and before a key that begins its line or string.
_PAIR_BEFORE: Final = _later(r"""[(\[]\s{0,4}b?\\{0,15}["'`]\Z""")
_WORD_BEFORE: Final = _later(r"[A-Za-z]{2,32} \Z")
_LINE_BEFORE: Final = _later(r"""(?:(?:\A|[\r\n])[ \t>-]{0,32}|["'`])\Z""")
_BEFORE: Final = 36
_SECOND_WORDS: Final = frozenset({"key", "keys", "code", "word", "phrase"})
_OPENING: Final = _later(r"""[bBfFrRuU]{0,2}(\\{0,15}(?:"{3}|'{3}|["'`]))""")
#: A value without quotes ends before a space, a quote or the next key.
_WORD: Final = _later(
    r"""(?P<scheme>)(?: [^\s"'`;&,\\] | [&,](?![\w.%-]++=) | \\(?!\\*["'`]) )*+""", re.VERBOSE
)
_AFTER_WORD: Final = ")]}>,."
#: The value of a header is the rest of the line, or of the string in which the header stands.
_LINE: Final = _later(
    r"""
    (?P<scheme>(?i:basic|bearer|digest|negotiate|token)[ ]+(?=\S))?
    (?: [^"'`\\\r\n] | (?<==)"[^"\r\n]*+" | \\(?!\\*["'`rn]) )*+
    """,
    re.VERBOSE,
)
#: A type before a default, as in "password: str = ...".
_ANNOTATION: Final = _later(r"[A-Za-z_.]{1,64}(?:\[[^\]=\n]{0,64}\])?(?: \| [\w.]{1,32})? = ")
#: What has yet to be filled in.
_TEMPLATE: Final = _later(
    r"""
    (?: \$?\{{1,2}[^{}"'\n]{1,64}\}{1,2} | \$[A-Z_]{1,64} | <[\w .-]{1,64}> | %s | %\(\w{1,64}\)s
      | \? )
    (?= [\s"'`&,;)\]}\\/] | \Z )
    """,
    re.VERBOSE,
)
#: Code and prose: a type, a constant, a call, a name, a number, a bracket.
_TYPE: Final = _later(
    r"""(?: (?i:null|none|nil|undefined|true|false) | str | string | bytes | bool | boolean | int
      | number | any | Any | SecretStr ) (?= [\s"'`&,;)\]}=?|\\] | \Z )""",
    re.VERBOSE,
)
_CALL: Final = _later(r"[A-Za-z_$][\w$]{0,64}(?:\.\w{1,64}){0,8}[(\[]")
_NAME: Final = _later(r"[A-Za-z_][\w.]{0,128}+(?=[\s,;)\]}]|\Z)")
_NUMBER: Final = _later(r"-?[0-9][0-9.,]{0,15}+(?=[\s;)\]}&\"'\\]|\Z)")
_BRACKET: Final = _later(r"""[(\[{](?=[\s"'`\\()\[\]{}]|\Z)""")


def _is_code(text: str, start: int, key: str) -> bool:
    """Return whether what stands at *start* is no secret, but an expression or a name for one."""
    if any(pattern.match(text, start) for pattern in (_TYPE(), _CALL(), _BRACKET())):
        return True
    name = _NAME().match(text, start)
    if name is None:
        return False
    path, _, last = name[0].rpartition(".")
    return _normal(last) == _normal(key.rpartition(".")[2]) or (
        path != "" and is_secret_key(last, "")
    )


def _secret_key_in_text(text: str, found: re.Match[str], own: frozenset[str]) -> str:
    """Return the secret key that was *found*, or nothing if it is none."""
    key, begin, start = found["key"], found.start(), found.end()
    near = max(0, begin - _BEFORE)
    if key.lower() in _SECOND_WORDS:
        word = _WORD_BEFORE().search(text, near, begin)
        key = key if word is None else word[0] + key
    value = 0 if _NUMBER().match(text, start) else text[start : start + 2]
    if not is_secret_key(key, value, own):
        return ""
    paired = not found["pair"] or _PAIR_BEFORE().search(text, near, begin)
    # Tests pass: a verb, unless it is quoted, begins its line, or is given a value.
    verb = _normal(key) == "pass" and not (
        found["quote"] or found["equals"] or _LINE_BEFORE().search(text, near, begin)
    )
    return key if paired and not verb else ""


def _value_in_text(text: str, found: re.Match[str], own: frozenset[str]) -> tuple[int, int]:
    """Return where the secret behind the key that was *found* is, from and to; empty if none is."""
    key, begin, start = _secret_key_in_text(text, found, own), found.start(), found.end()
    if not key:
        return start, start
    before = text[begin - 1 : begin]
    header = found["colon"] and _normal(key).endswith(("authorization", "cookie"))
    if found["colon"] and not header:
        annotation = _ANNOTATION().match(text, start)
        start = start if annotation is None else annotation.end()
    opening = _OPENING().match(text, start)
    if opening is not None:
        # In "password: " the second quote closes what the first one opened.
        closes = not found["quote"] and before == opening[1][-1]
        return (start, start) if closes else _quoted(text, opening)
    # As environments and addresses are written, it is no code.
    plain = (key.isupper() and found[0][-1] == "=") or before in {"?", "&", ";"}
    if not plain and _is_code(text, start, key):
        return start, start
    if header or (found["colon"] and _LINE_BEFORE().search(text, max(0, begin - _BEFORE), begin)):
        return _unquoted(text, start, _LINE(), " \t,;")
    return _unquoted(text, start, _WORD(), _AFTER_WORD)


def _quoted(text: str, opening: re.Match[str]) -> tuple[int, int]:
    start = opening.end()
    template = _TEMPLATE().match(text, start)
    if template is not None and text.startswith(opening[1], template.end()):
        return start, start
    end = re.compile(r"(?<!\\)" + re.escape(opening[1])).search(text, start)
    return start, len(text) if end is None else end.start()


def _unquoted(text: str, start: int, shape: re.Pattern[str], after: str) -> tuple[int, int]:
    value = shape.match(text, start)
    assert value is not None  # noqa: S101 (it may be empty)
    start = max(start, value.end("scheme"))
    if _TEMPLATE().match(text, start):
        return start, start
    return start, start + len(text[start : value.end()].rstrip(after))


# --- The first look -------------------------------------------------------------------------------

_KEYS: Final = (
    *("access", "account", "api", "auth", "encryption", "master", "private", "role", "secret"),
    *("service", "shared", "signing", "ssh", "subscription"),
)
_BEFORE_KEY: Final = sorted({word[-2:] for word in _KEYS})
#: How a key that may be secret ends, in six characters: "-" is what separates two words where
#: people write one, "." anything. Far more precise than the last letters alone: "function", "code"
#: and "key" are everywhere.
_SIX: Final = (
    *(".token", "secret", "ecrets", "cookie", "ookies", "ential", "ntials", "ssword", "swords"),
    *("s-word", "phrase", "hrases", "sscode", "scodes", "s-code", "rdhash", "d-hash", "passwd"),
    *("asswds", "sessid", "sionid"),
    *(f"{end}-key" for end in _BEFORE_KEY),
    *(f".{end}key" for end in _BEFORE_KEY),
    *(f"{end[1]}-keys" for end in _BEFORE_KEY),
    *(f"{end}keys" for end in _BEFORE_KEY),
)
#: Those that are shorter, and those that only more characters tell from common words. Before
#: "pass" is no letter, unless it is that of an escape.
_OTHERS: Final = ("pwd", "'pass", ">pass", "horization", "word-confirmation", "wordconfirmation")


def _tree(endings: Iterable[str]) -> str:
    """Return the pattern for *endings*, those that begin alike together: most keys fail at once."""
    tree: dict[str, set[str]] = {}
    for ending in endings:
        tree.setdefault(ending[0], set()).add(ending[1:])
    return "|".join(f"{it}(?:{'|'.join(sorted(rest))})" for it, rest in sorted(tree.items()))


def _spelt(ending: str) -> str:
    """Return the pattern for an ending."""
    special = {"-": r"[_.\ -]", "'": "[^A-Za-z]", ">": r"\\[nrt]"}
    return "".join(special.get(letter, letter) for letter in ending)


#: The last three letters of those, and of what names something called a "value". In one case:
#: letters are compared much faster than sets of them.
_THREE: Final = {ending[-3:] for ending in (*_SIX, *_OTHERS, "name")}
#: As in "API_KEYs".
_SHOUTED: Final = {f"{ending[:2].upper()}s" for ending in _THREE if ending[2] == "s"}
_LOWER: Final = f"(?:{_tree({*_THREE, *_SHOUTED, 'Key', 'Pwd'})})"
_UPPER: Final = f"(?:{_tree(ending.upper() for ending in _THREE)})"
_LAST_SIX: Final = f"(?i:{'|'.join(map(_spelt, sorted(_SIX)))})"
_CLOSING: Final = r"""[\ \\"'`\]]"""
#: What may number a key: up to twelve of these, such as "_2024-01-15".
_NUMBERING: Final = r"[0-9_.\ -]"
_LONGEST_NUMBER: Final = 12
#: The last letters of a key that is numbered, roughly: the second look is exact.
_NUMBERED: Final = "".join(
    f"[{''.join(sorted({*column, *column.upper()}))}]"
    for column in map(
        "".join,
        zip(*{f"{end}{many}"[-3:] for end in _SECRET_ENDINGS for many in ("", "s")}, strict=True),
    )
)


def _number_before(behind: str) -> str:
    """Return the pattern, used behind *behind*, for a number before it that numbers such a key."""
    return "|".join(
        f"(?<={_NUMBERED}{_NUMBERING * digits}{behind})" for digits in range(1, _LONGEST_NUMBER + 1)
    )


def _ending_before(mark: str) -> str:
    """Return the pattern, used behind *mark*, for such an ending before it."""
    others = "|".join(f"(?<=(?i:{_spelt(ending)}){mark})" for ending in _OTHERS)
    return rf"(?:(?<={_LAST_SIX}{mark})|{others})"


def _key_before(mark: str) -> str:
    """Return the same, quick to fail where there is none."""
    last = rf"(?: (?<={_LOWER}{mark}) | (?<=[A-Z]{mark})(?<={_UPPER}{mark}) )"
    return f"{last} {_ending_before(mark)}"


def _key_in_text_before(mark: str) -> str:
    """Return the same for a key in any notation: quoted, escaped, numbered, apart from *mark*."""
    closed = "|".join(f"(?<=(?:{_LOWER}|{_UPPER}){_CLOSING * many}{mark})" for many in (2, 3, 4, 5))
    numbered = "|".join(
        f"(?<=[0-9_.-]{behind})(?:{_number_before(behind)})"
        for behind in (_CLOSING * many + mark for many in range(5))
    )
    escaped_quote = r"""\\["']"""
    return rf"""
        (?<=[A-Za-z]{mark}) {_key_before(mark)}
      | (?<=[A-Za-z]{_CLOSING}{mark}) {_key_before(_CLOSING + mark)}
      | (?<=[A-Za-z]{escaped_quote}{mark}) {_key_before(escaped_quote + mark)}
      | (?<={_CLOSING * 2}{mark}) (?<![A-Za-z]{escaped_quote}{mark}) (?:{closed})
      | (?<=\\\\["']{mark}) | (?<=\\\\["']\ {mark})
      | (?<=\\\\["']\]{mark}) | (?<=\\\\["']\]\ {mark})
      | {numbered}
    """


#: Behind what names something called a "value", and in pairs: the key as a string of its own.
_NAMING: Final = "(?:[Nn]ame|.[Kk]ey)"
_KEY_AS_STRING: Final = rf"""
    (?=[\ bnr\\"'`]{{1,16}}+ [\w.-]{{3,64}}+ (?=["'`\\])
       (?: {_key_before("")} | (?<=[0-9_.-]) (?:{_number_before("")}) ))
"""


class _Search(Protocol):
    """Finds the next place that may be one, from a position on."""

    def __call__(self, data: bytes, position: int = 0, /) -> re.Match[bytes] | None: ...


def _search(pattern: str) -> _Search:
    return re.compile(pattern.encode(), re.VERBOSE | re.DOTALL).search


class _Scans(NamedTuple):
    """The searches over bytes.

    Each is led by a byte; those that come with it are only made where it occurs at all, which is
    known at once.
    """

    shapes: tuple[_Search, ...]
    rare_shapes: tuple[tuple[bytes, _Search], ...]
    keys: tuple[tuple[bytes, _Search], ...]


@cache
def _scans() -> _Scans:
    """Return the searches, made when first needed: to compile them takes milliseconds."""
    return _Scans(
        shapes=(
            _search(
                rf"""
                -(?<=[^0-9][kabceoprstixyX\ -]-)
                (?: (?<=sk-) | (?<=xox[a-z]-) | (?<=xapp-) | (?<=pat-) | (?<=gl[a-z]{{2}}-)
                   | (?<=gl[a-z]{{3}}-) | (?<=glsoat-) | (?<=glagent-) | (?<=pypi-)AgE
                   | (?<=GOCSPX-) | (?<=xai-) | (?<=pplx-) | (?<=tvly-) | (?<=-----)BEGIN
                   | (?<=\ -)(?:u|-user) | (?<=sshpass\ -)p
                   | (?<=--)(?=[\w.-]{{2,64}}+[\ "'\\]
                       (?:(?<={_LOWER}.|{_UPPER}.)|(?<=[0-9_.-].)(?:{_number_before(".")}))) )
                """
            ),
            _search(
                r"""
                _(?<=[ehkrstpav][fkmoprstuc2]_)
                (?: (?<=gh[pousr]_) | (?<=_pat_) | (?<=[sr]k_)(?:live|test)_ | (?<=hf_) | (?<=npm_)
                  | (?<=whsec_) | (?<=gsk_) | (?<=pcsk_) | (?<=lsv2_) )
                """
            ),
            _search(r"bearer\ "),
        ),
        rare_shapes=(
            (b"B", _search(r"B(?=earer\ |EARER\ |asic\ [A-Za-z0-9+/]{12})")),
            (b"J", _search("J(?<=eyJ)")),
            (b"I", _search("I(?:(?<=A[KS]I)A|(?<=AI)za)")),
            (b"G", _search(r"G(?<=SG)(?=\.[\w-]{16})")),
            (b"A", _search(r"A(?<=[0-9]:A)(?=A[\w-]{33})")),
            (b"@", _search(r"""://[^\s/"'<>:@]*+:[^\s/"'<>]+@""")),
            # What may hide a key or a shape from the other scans: an escaped letter of ASCII.
            (b"\\", _search(r"\\(?=u00[2-7])")),
        ),
        keys=(
            (
                b":",
                _search(
                    rf"""
                    :(?:
                        (?<={_LOWER}":)
                        (?: {_ending_before('":')} | (?<={_NAMING}":) {_KEY_AS_STRING} )
                      | (?<![a-z]":)
                        (?: {_key_in_text_before(":")}
                          | (?: (?<={_NAMING}\\["']:) | (?<={_NAMING}':) ) {_KEY_AS_STRING}
                        )
                    )
                    """
                ),
            ),
            (b"=", _search(f"=(?:{_key_in_text_before('=')})")),
            (b"[", _search(rf"\[{_KEY_AS_STRING}")),
            (b"(", _search(rf"\({_KEY_AS_STRING}")),
        ),
    )


def _shaped(data: bytes) -> bool:
    """Return whether *data* may have a secret of a known shape, or hides what it has."""
    scans = _scans()
    return any(search(data) for search in scans.shapes) or any(
        byte in data and search(data) for byte, search in scans.rare_shapes
    )


_BEFORE_MARK: Final = 128
"""Bytes of an ending, its number and what closes it, escaped six times over."""
_BEHIND_MARK: Final = 192
"""Bytes of a key as a string of its own, and what stands around it, likewise."""
_ONE_BY_ONE: Final = 512
"""Bytes to each such place, below which all is looked at in one go."""


def _suspects(data: bytes) -> Iterator[bytes]:
    """Yield what stands around each end of a key in *data* that may be secret."""
    scans = _scans()
    for byte, search in scans.keys:
        if byte not in data:
            continue
        position = 0
        while (found := search(data, position)) is not None:
            position = found.end()
            yield data[max(0, found.start() - _BEFORE_MARK) : position + _BEHIND_MARK]


# --- The second look ------------------------------------------------------------------------------

#: Lower case, without what may stand within or behind a key, and with one mark behind each.
_FOLD: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ=,'`", b'abcdefghijklmnopqrstuvwxyz::""')
_BETWEEN: Final = b" -_.\\]0123456789"
_DIGITS: Final = re.compile("[0-9]")


def _keys_ahead(own: frozenset[str]) -> Callable[[bytes], object]:
    """Return the search, in folded bytes, for the end of a key that may be secret."""
    endings = {ending[-6:] for ending in _SECRET_ENDINGS}
    endings |= {f"{ending[-5:]}s" for ending in _SECRET_ENDINGS}
    # Five sets of letters first: one step that tells nearly every other key apart from these.
    letters = "".join(
        f"[{''.join(sorted(set(column)))}]" for column in list(zip(*endings, strict=True))[1:]
    )
    known = "|".join(sorted(endings))
    short = {"pass", "pwd", "token", "ionid", "essid", *(_DIGITS.sub("", key) for key in own)}
    patterns = [
        pattern
        for mark in ('":', ":")
        for pattern in (
            f"(?<={letters}{mark})(?<=(?:{known}){mark})",
            *(f"(?<={key}{mark})" for key in sorted(short)),
        )
    ]
    return re.compile(f":(?:{'|'.join(patterns)})".encode(), re.DOTALL).search


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
        if self._own:
            # An option of a command has nothing behind it.
            return b"--" in data or self._ends_secret_key(data)
        for number, place in enumerate(_suspects(data)):
            if number > len(data) // _ONE_BY_ONE:
                return self._ends_secret_key(data)
            if self._ends_secret_key(place):
                return True
        return False

    def _ends_secret_key(self, data: bytes) -> bool:
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
            values = self._list(value, shaped=shaped)
            return values if _changed(value, values) else value
        return value

    def _list(self, members: list[Any], *, shaped: bool) -> list[Any]:
        """Redact a list, which may be a pair of key and value, or arguments of a command."""
        out = [self._value(member, shaped=shaped) for member in members]
        for place, (key, value) in enumerate(pairwise(members), 1):
            if type(key) is not str or type(value) is not str:
                continue
            option = key.startswith("--")
            paired = not value.startswith("-") if option else len(members) == _PAIR
            if paired and is_secret_key(key, value, self._own):
                out[place] = _blank(value)
        return out

    def _object(self, value: dict[str, Any], *, described: bool, shaped: bool) -> dict[str, Any]:
        """Redact an object; *described*: it is the "properties" of a JSON schema."""
        out: dict[str, Any] = {}
        named = _named(value)
        for key, member in value.items():
            if named and key in _VALUES and is_secret_key(named, member, self._own):
                out[key] = _blank(member)
            elif described and type(member) is dict:
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
        if shaped:
            text = _SHAPES().sub(REDACTED, text)
            text = _CURL_USER().sub(rf"\1{REDACTED}", text)
        text = self._assigned(text)
        for pattern in self._patterns:
            text = pattern.sub(REDACTED, text)
        return text

    def _assigned(self, text: str) -> str:
        """Redact the values of secret keys that stand within other text."""
        pieces: list[str] = []
        done = 0
        for found in _ASSIGNED().finditer(text):
            if found.start() < done:
                continue
            start, stop = _value_in_text(text, found, self._own)
            # The bracket that closes it is none of a word.
            if stop > start and text[start:stop] not in {REDACTED, REDACTED[:-1]}:
                pieces += (text[done:start], REDACTED)
                done = stop
        return "".join((*pieces, text[done:])) if pieces else text


_PAIR: Final = 2
_NAMES: Final = ("name", "key", "Name", "Key")
_VALUES: Final = frozenset({"value", "Value"})


def _named(value: dict[str, Any]) -> str:
    """Return what an object with a "value" says that value is called."""
    if value.keys().isdisjoint(_VALUES):
        return ""
    return next((value[name] for name in _NAMES if type(value.get(name)) is str), "")


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
