"""Documents: files of many formats read into passages that say where they stand, so that an answer can cite them.

Rules. Bytes that others wrote are parsed in a confined child (`child`), which can write nothing, start nothing and
reach nothing; what it says is read here as data. One file of `readers/` a format, found by listing. A document that
cannot be read is refused and named with its reason, and never silently empty: a page without text says why. Text is
never lost between reading and passages. What is written (`passages.jsonl`, `documents.jsonl`) is the contract with all
that searches.
"""
