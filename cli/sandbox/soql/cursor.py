"""The parser's place in the tokens: look, take, expect.

Place     lexer -> [this] -> parser, conditions.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from fakturo.cli.sandbox.soql.errors import SoqlError, malformed
from fakturo.cli.sandbox.soql.lexer import Kind, Token, tokens_of

_DEEPEST = 50  # levels of nesting; deeper ones are a mistake, or an attack on the stack


class Cursor:
    """Walks a query's tokens from the first to the last."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = tokens_of(text)
        self._index = 0
        self._depth = 0

    @contextmanager
    def level(self) -> Iterator[None]:
        """Go one level down: parentheses, NOT, a function's argument. Raises MALFORMED_QUERY where it is too deep."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise malformed("The query is nested too deeply.", self.here.at)
        yield
        self._depth -= 1

    @property
    def here(self) -> Token:
        """The token that comes next."""
        return self._tokens[self._index]

    @property
    def after(self) -> Token:
        """The token behind the next one."""
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def take(self) -> Token:
        """Go past the next token."""
        token = self.here
        if token.kind is not Kind.END:
            self._index += 1
        return token

    def sees(self, *words: str) -> bool:
        """Whether these keywords or signs come next, in this order."""
        following = self._tokens[self._index : self._index + len(words)]
        return len(following) == len(words) and all(
            token.word == word for token, word in zip(following, words, strict=True)
        )

    def takes(self, *words: str) -> bool:
        """Go past these keywords if they come next; False if they don't."""
        if not self.sees(*words):
            return False
        self._index += len(words)
        return True

    def expect(self, word: str) -> Token:
        """Go past this keyword or sign. Raises MALFORMED_QUERY if something else comes next."""
        if self.here.word != word:
            raise self.unexpected(f"expecting '{word.lower()}'")
        return self.take()

    def expect_word(self) -> Token:
        """Go past a name. Raises MALFORMED_QUERY if none comes next."""
        if self.here.kind is not Kind.WORD:
            raise self.unexpected()
        return self.take()

    def expect_count(self) -> int:
        """Go past a whole number that isn't negative. Raises MALFORMED_QUERY if none comes next."""
        if self.here.kind is not Kind.NUMBER or not self.here.text.isdigit():
            raise self.unexpected("expecting a whole number")
        return int(self.take().text)

    def unexpected(self, expected: str = "") -> SoqlError:
        """MALFORMED_QUERY at the next token."""
        hint = f", {expected}" if expected else ""
        return malformed(f"unexpected token: '{self.here.text}'{hint}", self.here.at)
