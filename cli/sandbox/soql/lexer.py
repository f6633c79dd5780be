"""A query's text as tokens, each with its place in the text.

Place     the `q` of a request -> [this] -> parser.
Rules     Words are not case-sensitive and may carry dots (`Account.Name`); strings stand in single quotes with
          backslash escapes; dates and instants are bare (`2026-11-01`, `2026-11-01T12:00:00.000Z`, `...+01:00`).
          A string token keeps its escapes: LIKE reads `\\%` otherwise than `=` does.
Source    SOQL and SOSL Reference, "Quoted String Escape Sequences", "Date Formats and Date Literals in WHERE".
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from fakturo.cli.sandbox.soql.errors import SoqlError, malformed

QUERY_CHARACTERS = 100_000  # Salesforce's limit of a SOQL statement


class Kind(Enum):
    """What a token is."""

    INSTANT = auto()
    DATE = auto()
    NUMBER = auto()
    COUNTED = auto()  # LAST_N_DAYS:30
    WORD = auto()
    STRING = auto()
    SIGN = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as it stands in the query (of a string: what is between the quotes); `word` is it in upper case."""

    kind: Kind
    text: str
    at: int

    @property
    def word(self) -> str:
        """The text in upper case, to compare with a keyword; of a string or a number: nothing."""
        return self.text.upper() if self.kind in (Kind.WORD, Kind.SIGN) else ""


_TOKEN = re.compile(
    r"""
    (?P<SPACE>\s+)
  | (?P<INSTANT>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:[zZ]|[+-]\d\d:?\d\d))
  | (?P<DATE>\d{4}-\d\d-\d\d(?![\dT]))
  | (?P<NUMBER>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w]))
  | (?P<COUNTED>[A-Za-z]\w*\s*:\s*\d+)
  | (?P<WORD>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)
  | '(?P<STRING>(?:[^'\\]|\\.)*)'
  | (?P<SIGN><=|>=|!=|<>|=|<|>|\(|\)|,)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KINDS = {kind.name: kind for kind in Kind}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def tokens_of(text: str) -> list[Token]:
    """The tokens of a query; the last one is END. Raises MALFORMED_QUERY at a character that begins no token."""
    if len(text) > QUERY_CHARACTERS:
        raise malformed(f"SOQL statements cannot be longer than {QUERY_CHARACTERS} characters.")
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _unreadable(text, at)
        name = match.lastgroup or ""
        if name != "SPACE":
            found.append(Token(_KINDS[name], match[name], at))
        at = match.end()
    found.append(Token(Kind.END, "<EOF>", len(text)))
    return found


def _unreadable(text: str, at: int) -> SoqlError:
    """Why nothing could be read at this place."""
    if text[at] == "'":
        return malformed("line 1:0 mismatched character '<EOF>' expecting '''", at)
    return malformed(f"unexpected token: '{text[at]}'", at)


def unescaped(token: Token) -> str:
    """What a string token stands for. Raises MALFORMED_QUERY for an escape that SOQL doesn't know."""

    def one(match: re.Match[str]) -> str:
        sign = match[1]
        if len(sign) == 5:
            return chr(int(sign[1:], 16))
        if sign in "_%":
            return sign
        if sign.lower() not in _ESCAPES:
            raise malformed(f"Illegal escape sequence '\\{sign}' in string literal", token.at)
        return _ESCAPES[sign.lower()]

    return _ESCAPE.sub(one, token.text) if "\\" in token.text else token.text


def like_pattern(token: Token) -> re.Pattern[str]:
    r"""The pattern of a LIKE: `%` any text, `_` one character, `\%` and `\_` themselves, letters in either case."""
    parts: list[str] = []
    for escape, sign in re.findall(r"(\\u[0-9A-Fa-f]{4}|\\.)|(.)", token.text, re.DOTALL):
        if escape:
            parts.append(re.escape(unescaped(Token(Kind.STRING, escape, token.at))))
        else:
            parts.append({"%": ".*", "_": "."}.get(sign) or re.escape(sign))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)
