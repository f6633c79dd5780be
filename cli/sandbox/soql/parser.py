"""SOQL's grammar, by recursive descent: a query's text becomes a tree.

Place     the `q` of a request, a bulk job's query -> [this] -> names, execution.
Reads     SELECT (fields, functions, FIELDS(), child subqueries, aliases), FROM with an alias, USING SCOPE, WHERE,
          GROUP BY, HAVING, ORDER BY, LIMIT, OFFSET, FOR VIEW / REFERENCE / UPDATE (read past: they change no answer)
          and ALL ROWS.
Refuses   what it doesn't evaluate (TYPEOF, WITH, GROUP BY ROLLUP and CUBE), by name: a wrong answer would be worse.
Source    SOQL and SOSL Reference, "SOQL SELECT Syntax".
"""

from fakturo.cli.sandbox.soql.conditions import condition, operand
from fakturo.cli.sandbox.soql.cursor import Cursor
from fakturo.cli.sandbox.soql.errors import malformed
from fakturo.cli.sandbox.soql.lexer import Kind
from fakturo.cli.sandbox.soql.tree import Expression, FieldsOf, Item, Ordering, Select

_CLAUSES = frozenset(
    ("FROM", "WHERE", "WITH", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "FOR", "ALL", "USING", "UPDATE")
)
_FIELD_SETS = frozenset({"ALL", "STANDARD", "CUSTOM"})


def parse(text: str) -> Select:
    """The tree of a query. Raises SoqlError (MALFORMED_QUERY) with the place of the first thing that doesn't fit."""
    cursor = Cursor(text)
    query = _select(cursor, nested=False)
    if cursor.here.kind is not Kind.END:
        raise cursor.unexpected()
    return query


def _select(cursor: Cursor, *, nested: bool) -> Select:
    """A query from its SELECT to the end of its last clause; `nested` is a child subquery."""
    at = cursor.expect("SELECT").at
    items = _items(cursor, nested=nested)
    cursor.expect("FROM")
    source = cursor.expect_word()
    alias = _alias(cursor)
    if cursor.here.word == ",":
        raise malformed(
            "Aliases of related objects in FROM aren't supported: write the path from the object.", cursor.here.at
        )
    _scope(cursor)
    where = condition(cursor, _semi_join) if cursor.takes("WHERE") else None
    if cursor.sees("WITH"):
        raise malformed("WITH isn't supported by this org.", cursor.here.at)
    group_by = _group_by(cursor)
    having = condition(cursor, _semi_join) if cursor.takes("HAVING") else None
    order_by = _order_by(cursor)
    limit = cursor.expect_count() if cursor.takes("LIMIT") else None
    offset = cursor.expect_count() if cursor.takes("OFFSET") else 0
    _locks(cursor)
    return Select(
        items=items,
        source=source.text,
        source_at=source.at,
        alias=alias,
        where=where,
        group_by=group_by,
        having=having,
        order_by=order_by,
        limit=limit,
        offset=offset,
        all_rows=cursor.takes("ALL", "ROWS"),
        at=at,
        text=cursor.text,
    )


def _semi_join(cursor: Cursor) -> Select:
    """The query within `IN (...)`; its parentheses are the caller's."""
    return _select(cursor, nested=True)


def _items(cursor: Cursor, *, nested: bool) -> tuple[Item, ...]:
    """What stands between SELECT and FROM."""
    items = [_item(cursor, nested=nested)]
    while cursor.takes(","):
        items.append(_item(cursor, nested=nested))
    return tuple(items)


def _item(cursor: Cursor, *, nested: bool) -> Item:
    """A field, a function, FIELDS() or a child subquery."""
    if cursor.sees("(", "SELECT"):
        if nested:
            raise malformed("Only one level of child subqueries is supported.", cursor.here.at)
        cursor.take()
        query = _select(cursor, nested=True)
        cursor.expect(")")
        return Item(query)
    if cursor.sees("TYPEOF"):
        raise malformed("TYPEOF isn't supported by this org.", cursor.here.at)
    if cursor.sees("FIELDS", "("):
        return Item(_fields_of(cursor))
    expression = operand(cursor)
    return Item(expression, _alias(cursor) if cursor.after.word in (",", "FROM") else None)


def _fields_of(cursor: Cursor) -> FieldsOf:
    """FIELDS(ALL), FIELDS(STANDARD), FIELDS(CUSTOM)."""
    at = cursor.take().at
    cursor.expect("(")
    which = cursor.expect_word()
    if which.word not in _FIELD_SETS:
        raise malformed(f"FIELDS takes ALL, STANDARD or CUSTOM, not '{which.text}'", which.at)
    cursor.expect(")")
    return FieldsOf(which.word, at)


def _alias(cursor: Cursor) -> str | None:
    """The name that follows a field or an object, if one does."""
    here = cursor.here
    if here.kind is not Kind.WORD or here.word in _CLAUSES or "." in here.text:
        return None
    return cursor.take().text


def _scope(cursor: Cursor) -> None:
    """USING SCOPE: there is one user, who owns and sees everything."""
    if cursor.takes("USING"):
        cursor.expect("SCOPE")
        cursor.expect_word()


def _group_by(cursor: Cursor) -> tuple[Expression, ...]:
    """The keys of GROUP BY."""
    if not cursor.takes("GROUP"):
        return ()
    cursor.expect("BY")
    if cursor.sees("ROLLUP", "(") or cursor.sees("CUBE", "("):
        raise malformed(f"GROUP BY {cursor.here.word} isn't supported by this org.", cursor.here.at)
    keys = [operand(cursor)]
    while cursor.takes(","):
        keys.append(operand(cursor))
    return tuple(keys)


def _order_by(cursor: Cursor) -> tuple[Ordering, ...]:
    """The keys of ORDER BY, the first sorts first."""
    if not cursor.takes("ORDER"):
        return ()
    cursor.expect("BY")
    keys = [_ordering(cursor)]
    while cursor.takes(","):
        keys.append(_ordering(cursor))
    return tuple(keys)


def _ordering(cursor: Cursor) -> Ordering:
    """One key with its direction and the place of its nulls."""
    key = operand(cursor)
    descending = cursor.takes("DESC")
    if not descending:
        cursor.takes("ASC")
    nulls_last = False
    if cursor.takes("NULLS"):
        nulls_last = cursor.takes("LAST")
        if not nulls_last:
            cursor.expect("FIRST")
    return Ordering(key, descending, nulls_last)


def _locks(cursor: Cursor) -> None:
    """FOR VIEW, FOR REFERENCE, FOR UPDATE, UPDATE TRACKING / VIEWSTAT: nothing here looks at them."""
    while cursor.sees("FOR") or cursor.sees("UPDATE"):
        cursor.take()
        cursor.expect_word()
        while cursor.takes(","):
            cursor.expect_word()
