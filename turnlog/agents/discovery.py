"""Finds the agents in a folder: every `Agent` at the top level of its modules."""

import importlib
import sys
import threading
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from turnlog.agents.declaration import Agent
from turnlog.agents.tools import Tool

PACKAGE = "turnlog_agents"
"""The package that the folder's modules are in. They import each other by `from .other import …`."""

_lock = threading.Lock()


class AgentMistakesError(Exception):
    """Agents can't be used. `mistakes` has a line for each reason, with its file."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def find_agents(folder: Path) -> dict[str, Agent]:
    """Import the modules in `folder` again, and return their agents by name. Names are unique.

    Agents that were found earlier keep working, with the modules that they came from.

    Raises:
        AgentMistakesError: all mistakes that were found. The modules imported before are still the current ones.
    """
    if not folder.is_dir():
        raise AgentMistakesError([f"{folder}: there is no such folder; AGENTS_DIR names the folder of the agents"])
    mistakes: list[str] = []
    found: dict[str, tuple[Agent, Path]] = {}
    with _lock, _new_package(folder) as forget:
        for file in sorted(folder.glob("*.py")):
            try:
                module = _import(file)
            except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the author's code raises
                mistakes.append(_import_mistake(folder, file, error))
                continue
            for agent in _agents_in(module):
                mistakes += _take(found, agent, file)
        if mistakes:
            forget()
            raise AgentMistakesError(mistakes)
    return {name: agent for name, (agent, _) in found.items()}


@contextmanager
def _new_package(folder: Path) -> Generator["_Forget"]:
    """An empty package for the modules in `folder`. No bytecode is kept: a file may change twice in a second."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == PACKAGE}
    for name in before:
        del sys.modules[name]
    package = ModuleType(PACKAGE)
    package.__path__, package.__package__ = [str(folder)], PACKAGE
    sys.modules[PACKAGE] = package
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    importlib.invalidate_caches()
    try:
        yield _Forget(before)
    finally:
        sys.dont_write_bytecode = writes_bytecode


class _Forget:
    """Makes the modules of before the current ones again."""

    def __init__(self, before: dict[str, ModuleType]) -> None:
        self._before = before

    def __call__(self) -> None:
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            del sys.modules[name]
        sys.modules.update(self._before)


def _import(file: Path) -> ModuleType:
    if file.stem != "__init__":
        return importlib.import_module(f"{PACKAGE}.{file.stem}")
    package = sys.modules[PACKAGE]
    SourceFileLoader(PACKAGE, str(file)).exec_module(package)
    return package


def _agents_in(module: ModuleType) -> list[Agent]:
    return [value for value in vars(module).values() if isinstance(value, Agent)]


def _take(found: dict[str, tuple[Agent, Path]], agent: Agent, file: Path) -> list[str]:
    """Add `agent` to `found`, and return its mistakes. A module may import the agent of another one."""
    other = found.get(agent.name)
    if other is not None:
        is_same = other[0] is agent
        return [] if is_same else [f"{file}: agent {agent.name} is also in {other[1]}; names are unique"]
    found[agent.name] = (agent, file)
    return _agent_mistakes(agent, file)


def _agent_mistakes(agent: Agent, file: Path) -> list[str]:
    names = [each.name for each in agent.known_tools]
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        *(f"{file}: agent {agent.name}: tool {name} is there twice" for name in twice),
        *(
            f"{_place_of(each, file)}: agent {agent.name}: tool {each.name}: {problem}"
            for each in agent.known_tools
            if isinstance(each, Tool)
            for problem in each.problems
        ),
    ]


def _place_of(tool: Tool, file: Path) -> str:
    code = getattr(tool.function, "__code__", None)
    return str(file) if code is None else f"{_short(code.co_filename, file)}:{code.co_firstlineno}"


def _short(filename: str, file: Path) -> str:
    """`filename`, written like `file` if it is in the same folder."""
    path = Path(filename)
    return str(file.with_name(path.name)) if path.parent.resolve() == file.parent.resolve() else filename


def _import_mistake(folder: Path, file: Path, error: BaseException) -> str:
    """Where the author's code failed: the innermost of its lines, for a module that fails in the code of a library."""
    message = " ".join(str(error).split())
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).parent.resolve() == folder.resolve():
        return f"{_short(error.filename, file)}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [
        each
        for each in traceback.extract_tb(error.__traceback__)
        if Path(each.filename).resolve().is_relative_to(folder.resolve())
    ]
    place = f"{_short(lines[-1].filename, file)}:{lines[-1].lineno}" if lines else str(file)
    return f"{place}: {type(error).__name__}: {message}"
