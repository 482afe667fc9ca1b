"""Agents are found in a folder, and all mistakes in it are named at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from turnlog import Tool
from turnlog.agents import registry
from turnlog.agents.discovery import AgentMistakesError, find_agents
from turnlog.settings import SettingsError, settings
from turnlog.startup import start_up

CLERK = '''
from turnlog import Agent

def look_up(name: str) -> str:
    """Look up a name."""
    return name

CLERK = Agent("clerk", "Looks up.", "Look up.", tools=[look_up])
'''

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


@pytest.fixture
def agents(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The agents of this process, which are those of before after the test."""
    before = {name: agent for name, agent in registry.AGENTS.items() if name not in registry.BUILT_IN}
    monkeypatch.setattr(registry, "AGENTS", dict(registry.AGENTS))
    assert before
    return registry.AGENTS  # pyright: ignore[reportReturnType]


def mistakes_in(folder: Path) -> list[str]:
    with pytest.raises(AgentMistakesError) as refusal:
        find_agents(folder)
    return refusal.value.mistakes


def test_every_agent_at_the_top_level_of_a_module_is_found(tmp_path: Path, write: Write) -> None:
    write("clerk.py", CLERK)
    write("two.py", "from turnlog import Agent\nA = Agent('a', 'A.', 'A.')\nB = Agent('b', 'B.', 'B.')\n")

    assert set(find_agents(tmp_path)) == {"clerk", "a", "b"}


def test_a_module_may_use_another_one_of_the_folder(tmp_path: Path, write: Write) -> None:
    write("clerk.py", CLERK)
    write("again.py", "from .clerk import CLERK\n")

    assert set(find_agents(tmp_path)) == {"clerk"}


def test_agents_of_the_folders_init_file_are_found(tmp_path: Path, write: Write) -> None:
    write("__init__.py", "from turnlog import Agent\nfrom .clerk import CLERK\nA = Agent('a', 'A.', 'A.')\n")
    write("clerk.py", CLERK)

    assert set(find_agents(tmp_path)) == {"clerk", "a"}


def test_an_own_agent_replaces_the_one_that_is_built_in(
    tmp_path: Path, write: Write, agents: dict[str, object]
) -> None:
    write("own.py", "from turnlog import Agent\nOWN = Agent('assistant', 'Mine.', 'Be mine.')\n")

    registry.load_agents(tmp_path)

    assert registry.require_agent(None).description == "Mine."
    assert set(agents) == {"assistant", "vibecoder"}


def test_without_a_folder_only_the_built_in_agents_are_there(agents: dict[str, object]) -> None:
    registry.load_agents(None)

    assert agents == registry.BUILT_IN


def test_a_file_that_changes_is_read_again_and_found_agents_keep_their_code(tmp_path: Path, write: Write) -> None:
    write("clerk.py", CLERK)
    first = find_agents(tmp_path)["clerk"]
    write("clerk.py", CLERK.replace("Look up a name", "Find out, name"))  # as long as before, in the same second
    second = find_agents(tmp_path)["clerk"]

    (old,), (new,) = first.known_tools, second.known_tools
    assert (old.description, new.description) == ("Look up a name.", "Find out, name.")


def test_all_mistakes_are_named_at_once_with_file_tool_and_parameter(tmp_path: Path, write: Write) -> None:
    write("a_clerk.py", CLERK.replace("name: str", "name").replace('    """Look up a name."""\n', ""))
    write("b_twice.py", "from turnlog import Agent\nA = Agent('clerk', 'A.', 'A.')\n")
    write("c_raises.py", "\n\nraise RuntimeError('no\\nregister')\n")
    write("d_syntax.py", "x = 1\nAgent(\n")
    write("e_options.py", "from turnlog import Agent\nA = Agent('e', 'E.', 'E.', model_options={'messages': []})\n")
    write(
        "f_unknown.py", CLERK.replace("'clerk'", "'f'").replace('"clerk"', '"f"').replace("name: str", "name: 'Nmae'")
    )

    found = mistakes_in(tmp_path)

    tool = f"{tmp_path}/a_clerk.py:4: agent clerk: tool look_up: "
    assert found == [
        f"{tool}it has no docstring, which is its description for the model",
        f"{tool}parameter name has no annotation",
        f"{tmp_path}/b_twice.py: agent clerk is also in {tmp_path}/a_clerk.py; names are unique",
        f"{tmp_path}/c_raises.py:3: RuntimeError: no register",
        f"{tmp_path}/d_syntax.py:2: SyntaxError: '(' was never closed",
        found[5],
        f"{tmp_path}/f_unknown.py:4: agent f: tool look_up: parameter name has the unknown annotation Nmae",
    ]
    assert found[5].startswith(f"{tmp_path}/e_options.py:2: ValueError: agent e: model_options")


def test_an_unknown_name_in_an_annotation_is_named_with_its_line(tmp_path: Path, write: Write) -> None:
    write("clerk.py", CLERK.replace("name: str", "name: Nmae"))

    assert mistakes_in(tmp_path) == [f"{tmp_path}/clerk.py:4: NameError: name 'Nmae' is not defined"]


def test_a_tool_may_be_there_only_once(tmp_path: Path, write: Write) -> None:
    write("clerk.py", CLERK.replace("[look_up]", "[look_up, look_up]"))

    assert mistakes_in(tmp_path) == [f"{tmp_path}/clerk.py: agent clerk: tool look_up is there twice"]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    (found,) = mistakes_in(tmp_path / "agnets")

    assert found == f"{tmp_path}/agnets: there is no such folder; AGENTS_DIR names the folder of the agents"


def test_a_mistake_leaves_the_agents_of_before(tmp_path: Path, write: Write, agents: dict[str, object]) -> None:
    write("clerk.py", CLERK)
    registry.load_agents(tmp_path)
    before = dict(agents)
    write("clerk.py", "Agent(")

    with pytest.raises(AgentMistakesError):
        registry.load_agents(tmp_path)

    assert agents == before


def test_an_app_with_a_mistake_does_not_start(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("clerk.py", "1 / 0")
    monkeypatch.setenv("AGENTS_DIR", str(tmp_path))
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    settings.cache_clear()
    try:
        with pytest.raises(SettingsError, match=r"clerk\.py:1: ZeroDivisionError: division by zero"):
            start_up()
    finally:
        settings.cache_clear()


def test_the_examples_are_agents() -> None:
    (raffle,) = find_agents(Path(__file__).parents[3] / "examples" / "agents").values()

    assert [isinstance(each, Tool) for each in raffle.known_tools] == [True, False]
