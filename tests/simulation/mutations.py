"""Mutations: each breaks one rule of the program on purpose, and names the oracle that has to detect it."""

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from tests.simulation import attempt_oracles, broken_rules, oracles, project_oracles, sweeps, world
from tests.simulation.world import Options
from turnlog.agents import registry
from turnlog.services.log import stream, writer
from turnlog.services.log.writer import SessionWriter
from turnlog.services.projects.patches import ProjectPatches
from turnlog.services.turns import model_calls, tool_calls
from turnlog.services.turns.attempts import Guard
from turnlog.services.turns.endings import Endings
from turnlog.services.turns.repair import Repair
from turnlog.stores.cosmos.log import CosmosSessionLog
from turnlog.stores.sqlite.log import SqliteSessionLog

_LOGS = (SqliteSessionLog, CosmosSessionLog)


@dataclass(frozen=True)
class Mutation:
    """`replaced`: the attributes to replace, by their owner and name. `options`: when it matters."""

    name: str
    oracle: str
    replaced: Sequence[tuple[Any, str, Callable[[Any], Any]]]
    options: Options | None = None

    @contextmanager
    def applied(self) -> Generator[None]:
        """While this is open, the rule is broken."""
        with ExitStack() as patches:
            for owner, name, replacement in self.replaced:
                patches.enter_context(mock.patch.object(owner, name, replacement(getattr(owner, name))))
            yield


MUTATIONS = (
    Mutation(
        "sequences have a gap",
        world.GAP_FREE,
        [(writer, "sequenced", broken_rules.skip_sequences), (writer, "fold", broken_rules.ignore_gaps)],
    ),
    Mutation(
        "a lost race is repeated blindly",
        oracles.NOTHING_AFTER_END,
        [(SessionWriter, "append", broken_rules.append_again)],
    ),
    Mutation(
        "some messages are not stored",
        oracles.ACKNOWLEDGED,
        [(log, "append", broken_rules.drop_messages) for log in _LOGS],
    ),
    Mutation("the sweep does nothing", oracles.ENDS, [(Repair, "sweep", broken_rules.do_nothing)]),
    Mutation("the sweep repairs a session once", sweeps.REPAIRS, [(Repair, "sweep", broken_rules.repair_once)]),
    Mutation("a reader resumes late", oracles.READERS, [(stream, "follow", broken_rules.resume_late)]),
    Mutation(
        "an execution acts beside another",
        attempt_oracles.SUPERSEDED,
        [
            (model_calls, "permission_for_step", broken_rules.hurry),
            (tool_calls, "permission_for_tool", broken_rules.hurry),
        ],
    ),
    Mutation(
        "an attempt does not begin in the log",
        attempt_oracles.BILLED,
        [(model_calls, "claim_attempt", broken_rules.act_without_append)],
    ),
    Mutation(
        "an attempt does not follow the log", attempt_oracles.ONE_STREAM, [(Guard, "watch", broken_rules.do_not_watch)]
    ),
    Mutation(
        "a turn forgets what changed its project",
        project_oracles.PROJECTS,
        [(ProjectPatches, "find_change", broken_rules.do_nothing)],
        Options(agent="vibecoder"),
    ),
    Mutation(
        "an execution ignores later attempts",
        attempt_oracles.ONE_WRITER,
        [(model_calls, "permission_for_step", broken_rules.ignore_later_attempts)],
    ),
    Mutation(
        "lots are drawn again",
        attempt_oracles.ONCE,
        [(registry, "AGENTS", broken_rules.repeat_draws)],
        Options(profile="kills", agent="raffle"),
    ),
    Mutation("a piece is shortened", attempt_oracles.TEXT, [(model_calls, "delta_of", broken_rules.shorten)]),
    Mutation(
        "an outage counts as a fault",
        attempt_oracles.STRICT_OUTAGES,
        [(SessionWriter, "hold", broken_rules.give_up)],
        Options(profile="outages"),
    ),
    Mutation(
        "a turn fails with its process",
        oracles.STRICT_ATTEMPTS,
        [(Endings, "end", broken_rules.fail_turns)],
    ),
    Mutation(
        "a deleted session is not cleared", oracles.DELETED, [(log, "clear", broken_rules.do_nothing) for log in _LOGS]
    ),
    Mutation(
        "a result cannot be recorded", oracles.EXPECTED, [(tool_calls, "tool_completion", broken_rules.raise_error)]
    ),
    Mutation("the fold loses tokens", oracles.DOCUMENTS, [(writer, "fold", broken_rules.forget_usage)]),
)
"""One for each oracle, or more."""
