"""The `fakturo` command: what a person or a script types. One file a subject; the books are only read here."""
