"""What is wrong with a query: Salesforce's code, its sentence, and where in the text it happened.

Place     lexer, parser, names, predicates -> [this] -> rest (HTTP 400 with `errorCode` and `message`), bulk jobs.
Shape     `message` of a fault that has a position is Salesforce's: the line of the query up to the fault, a caret
          under it, `ERROR at Row:1:Column:11` (both count from 1) and the sentence.
"""

from dataclasses import dataclass

_BEFORE = 40  # characters of the query that the message shows before and after the fault
CUSTOM_FIELD_HINT = (
    "If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
CUSTOM_OBJECT_HINT = (
    "If you are attempting to use a custom object, be sure to append the '__c' after the entity name. "
    "Please reference your WSDL or the describe call for the appropriate names."
)
CUSTOM_RELATION_HINT = (
    "If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship "
    "name. Please reference your WSDL or the describe call for the appropriate names."
)


@dataclass(eq=False)
class SoqlError(Exception):
    """A query that can't be answered. `code` is Salesforce's errorCode; `at` is an offset into the text, or None."""

    code: str
    sentence: str
    at: int | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    def message(self, text: str) -> str:
        """The `message` as Salesforce writes it for a query with this text."""
        if self.at is None:
            return self.sentence
        at = min(self.at, len(text))
        row = text.count("\n", 0, at) + 1
        begin = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        line = text[max(begin, at - _BEFORE) : min(len(text) if end < 0 else end, at + _BEFORE)]
        caret = " " * (at - max(begin, at - _BEFORE)) + "^"
        return f"\n{line}\n{caret}\nERROR at Row:{row}:Column:{at - begin + 1}\n{self.sentence}"


def malformed(sentence: str, at: int | None = None) -> SoqlError:
    """A query whose text isn't SOQL, or asks for what SOQL doesn't allow."""
    return SoqlError("MALFORMED_QUERY", sentence, at)
