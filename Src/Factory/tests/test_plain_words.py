"""No text that a person meets, on a page, on a terminal or in a log, has words that only we understand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from Src.Dashboard import photo_facts
from Src.Dashboard.views import activity
from Src.Shared import models
from Src.Shared.settings import PROJECT_ROOT

# What these words mean is explained in the docs, and there they may stay. Here others do, which everybody knows.
FORBIDDEN = {
    r"mend(s|ed)?": "fix",
    r"tells?|told": "say, show, report",
    r"let(s)? in": "accept",
    r"cannot be asked": "cannot be reached",
    r"not right": "wrong, and what to do",
    r"sign of life": "answers",
    r"ledger": "database",
    r"journal": "saved and added later",
    r"heartbeats?": "last seen, last reported",
    r"dead.letters?": "failed for good",
    r"mtime": "modification time",
    r"inodes?": "file",
    r"sidecars?": "file beside the photo",
    r"not media": "not photos or videos",
    r"fates?": "what became of it",
    r"provenance": "where it came from",
    r"who(ever)? wants": "name the person",
    r"nobody (is|was) (there|at)": "name what is missing",
}
_FORBIDDEN = re.compile(rf"(?<![\w-])({'|'.join(FORBIDDEN)})(?![\w-])", re.IGNORECASE)
# Strings that nobody reads: statements and the checks of tables, styles, and which tests are to run.
_NOT_SHOWN = re.compile(
    r"SELECT |INSERT |UPDATE |FROM |WHERE |SET LOCAL | AS | IN \('|<style>|\[data-testid|/\* |not ledger and not slow"
    r"| IS NULL"
)
_UNREAD_CALLS = {"text", "getLogger", "import_module", "compile"}
SHOWN = sorted(
    path for path in (PROJECT_ROOT / "Src").rglob("*.py") if not {"tests", "versions", "Testing"} & set(path.parts)
)


def shown_strings(source: str) -> Iterator[tuple[int, str]]:
    """Every text of a module with a space in it (else it is a name), but for docstrings and statements."""
    tree = ast.parse(source)
    unread: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            unread.add(id(node.value))
        if isinstance(node, ast.Call) and _is_unread(node.func):
            unread |= {id(part) for argument in node.args for part in ast.walk(argument)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in unread:
            continue
        if " " in node.value.strip() and not _NOT_SHOWN.search(node.value):
            yield node.lineno, node.value


def _is_unread(called: ast.expr) -> bool:
    if isinstance(called, ast.Name):
        return called.id in _UNREAD_CALLS
    if not isinstance(called, ast.Attribute) or called.attr not in _UNREAD_CALLS:
        return False
    return not (isinstance(called.value, ast.Name) and called.value.id == "st")  # Streamlit's text is read


def test_no_text_has_a_word_that_only_we_understand() -> None:
    assert len(SHOWN) > 200
    found = [
        f"{path.relative_to(PROJECT_ROOT)}:{line}: {match[0]!r} in {shown!r}"
        for path in SHOWN
        for line, shown in shown_strings(path.read_text(encoding="utf-8"))
        for match in _FORBIDDEN.finditer(shown)
    ]
    assert found == []


def test_the_login_form_is_plain_too() -> None:
    form = (PROJECT_ROOT / "Src/Dashboard/login.html").read_text(encoding="utf-8")
    assert not _FORBIDDEN.search(re.sub(r"<style>.*</style>|<[^>]*>", " ", form, flags=re.DOTALL))


def test_the_list_finds_what_it_is_for() -> None:
    source = (
        '"""The ledger."""\nst.text("mend the cause")\nst.warning("told of it")\nlog.warning("the journal %s", x)\n'
    )
    assert [line for line, shown in shown_strings(source) if _FORBIDDEN.search(shown)] == [2, 3, 4]


def test_each_fate_has_words_and_a_filter() -> None:
    assert set(photo_facts.FATES) == set(models.FATES)
    assert {fate for fates in activity.FILTERS.values() for fate in fates} == set(models.FATES)


# Of these there may be one: `counted` (Src/Shared/words.py) says 1 file, 2 files.
_NOUNS = re.compile(
    r" (files|originals|photos|videos|folders|duplicates|notes|archives|entries|rows|XMP files)(?![\w/-])"
)


def test_counts_have_their_noun_in_the_right_number() -> None:
    found = []
    for path in SHOWN:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            for before, number, noun in zip([None, *node.values], node.values, node.values[1:], strict=False):
                is_of_many = isinstance(before, ast.Constant) and str(before.value).endswith(("/", " of "))
                is_fixed = isinstance(number, ast.FormattedValue) and ast.unparse(number.value).lstrip("_").isupper()
                if not isinstance(number, ast.FormattedValue) or is_of_many or is_fixed:
                    continue
                if isinstance(noun, ast.Constant) and _NOUNS.match(str(noun.value)):
                    found.append(f"{path.relative_to(PROJECT_ROOT)}:{node.lineno}: {ast.unparse(node)}")
    assert found == []
