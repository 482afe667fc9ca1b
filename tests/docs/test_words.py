"""The check of words finds banned words in names and texts, and nowhere else."""

import pytest

from tools.words.findings import findings
from tools.words.rules import NameRule, load_rules


def found(source: str, file: str = "turnlog/example.py") -> list[tuple[int, str]]:
    return [(each.line, each.word) for each in findings(file, source.encode(), seen=set())]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def told_span(): ...", "told_span"),
        ("class ToldSpan: ...", "ToldSpan"),
        ("MOST_SESSIONS = 5", "MOST_SESSIONS"),
        ("def wait(at_most): ...", "at_most"),
        ("lambda patience: None", "patience"),
        ("self.ear = None", "ear"),
        ("for told in (): ...", "told"),
        ("with a as heard: ...", "heard"),
        ("import a as told", "told"),
        ("if (told := 1): ...", "told"),
        ("match a:\n case told: ...", "told"),
        ("def test_readers_are_told(): ...", "test_readers_are_told"),
        ("on = services()", "on"),
        ("kept = 1", "kept"),
    ],
)
def test_a_banned_word_in_a_name_is_found(source: str, name: str) -> None:
    assert [word.endswith(f"in the name {name}") for _, word in found(source)] == [True]


@pytest.mark.parametrize(
    "source",
    [
        "def rendered_span(year): ...",
        "class Heart: ...",
        "almost = 1",
        "on_busy = 1",
        "events_kept_for = 1",
        "def test_a_tool_runs_at_most_once(): ...",
        "told()",
        "from vendor import told",
        "vendor.told(ear=1)",
        'FIELDS = {"told": "tells", "at_most": 5}',
        'event["told"] = "run.told"',
        "self._statuses = LookReply(statuses=[])",
    ],
)
def test_other_names_and_words_in_strings_are_not_found(source: str) -> None:
    assert [word for _, word in found(source) if "_statuses" not in word] == []


def test_a_folder_is_found_once_and_a_module_by_its_own_words() -> None:
    seen = set[str]()
    names = [each.word for name in ("one", "two") for each in findings(f"turnlog/telling/{name}.py", b"", seen)]

    assert names == ["telling in the name telling"]
    assert found("", "tests/http/driving.py") == [(1, "driving in the name driving")]
    assert found("driving = 1") == []


@pytest.mark.parametrize(
    "text",
    [
        "It runs meanwhile.",
        "Readers are told of it.",
        "The cursor is none of ours.",
        "An id that is no project of yours.",
        "It is done. Who dies behind it leaves it.",
        "Every event but deltas.",
        "Calls such as were stopped.",
        "It is sent, too.",
        "The state as it\n    stands.",
    ],
)
def test_a_banned_phrase_is_found_in_every_kind_of_text(text: str) -> None:
    comment = "\n".join(f"# {line.strip()}" for line in text.split("\n"))

    assert len(found(f'"""{text}"""')) == 1
    assert len(found(f"{comment}\n")) == 1
    assert len(found(f"class A:\n    a: int\n    '''{text}'''\n")) == 1
    assert len(found(text, "docs/README.md")) == 1
    assert len(found(comment, "Makefile")) == 1
    assert len(found(comment.replace("#", "//"), "infra/main.bicep")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Who may call?",
        "It is too large, but it works.",
        "The heart and the shears.",
        "The field `told`, and ``tells``.",
        'The message "Tell me a story".',
        "```\ncurl tell\n```\n",
        "See https://example.com/telling.",
    ],
)
def test_code_quotations_and_other_texts_are_not_found(text: str) -> None:
    assert found(text, "docs/README.md") == []


def test_sentences_in_strings_are_texts_except_in_tests() -> None:
    refusal = 'raise Error(f"The cursor {cursor} is none of ours, nor of this list.")'
    prompt = 'ask("Tell me a story")'

    assert [line for line, _ in found(f"\n{refusal}")] == [2]
    assert found(refusal, "tests/test_example.py") == []
    assert found(prompt) == []


def test_a_finding_has_its_line_and_what_to_use() -> None:
    source = b'"""Opens."""\n\n# One line,\n# and one that is written anew.\n'
    (finding,) = findings("turnlog/example.py", source, seen=set())

    assert str(finding) == "turnlog/example.py:4: 'anew': use again"


def test_generated_pages_are_checked_where_they_are_written() -> None:
    assert (
        found("# Events\n\nGenerated from `a` by `make docs`; do not edit.\n\nReaders are told.", "docs/use/events.md")
        == []
    )


def test_every_rule_names_what_to_use() -> None:
    rules = load_rules()

    assert len(rules.names) > 10
    assert len(rules.texts) > 10
    assert [rule for rule in [*rules.names, *rules.texts] if not rule.use] == []


def test_words_next_to_each_other_are_found_in_that_order() -> None:
    rule = NameRule((("at", "hand"),), "x", whole=False, only_modules=False, skips_tests=False, exceptions=frozenset())

    assert rule.find("what_is_at_hand") == "at_hand"
    assert rule.find("AtHand") == "at_hand"
    assert rule.find("hand_at") is None
