"""Strategies: conversations, however their turns ended and their tools behaved, and JSON of any form."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from turnlog.domain.conversation import AnsweredCall, Conversation, ConversationTurn, ModelStep
from turnlog.domain.values import MessageStatus, ToolCall

MODELS = ("model-a", "model-b")

unhurried = settings(deadline=None)
"""For every property: on a busy machine an example takes long."""


def json_values(*names: str) -> st.SearchStrategy[Any]:
    """Return any JSON, in which objects mostly have the fields `names`."""
    simple = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    keys = st.sampled_from(names) | st.text(max_size=3)
    return st.recursive(
        simple, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
    )


_odd = st.text(max_size=6)
texts = st.sampled_from(["", " ", "\n\t", "\u00a0", "Hello", "Zoë 🙂"]) | _odd
names = st.sampled_from(["calculate", "functions.calculate", "", "x" * 100, "größe"]) | _odd
arguments = (
    st.sampled_from(["{}", '{"a": "ë"}', '{"a": NaN}', '{"a": "\\ud83d"}', "[1]", '"{}"', "{" * 9])
    | st.dictionaries(_odd, _odd, max_size=2).map(json.dumps)
    | _odd
)
ids = st.sampled_from(["", "call_0", "functions.calculate:0", "D681PevKs"]) | _odd
_fields: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"reasoning_content": st.just("hm"), "extra_content": st.just({"signature": "x"})}
)


@st.composite
def calls(draw: st.DrawFn) -> AnsweredCall:
    own_id = draw(st.none() | ids)
    vendor = {**draw(_fields), **({} if own_id is None else {"id": own_id})}
    call = ToolCall(id=draw(ids), name=draw(names), arguments=draw(arguments), vendor=vendor)
    return AnsweredCall(call, draw(st.none() | texts))


@st.composite
def turns(draw: st.DrawFn, *, is_running: bool = False) -> ConversationTurn:
    """Steps that call tools, and at most one that only answers, which ends the turn."""
    calling = st.builds(
        ModelStep,
        texts,
        st.lists(calls(), min_size=1, max_size=2).map(tuple),
        st.lists(texts, max_size=1).map(tuple),
        _fields,
    )
    answering = st.builds(ModelStep, texts, st.just(()), st.lists(texts, max_size=1).map(tuple))
    steps = draw(st.lists(calling, max_size=2))
    if not is_running:
        steps += draw(st.lists(answering, max_size=1))
    ended: tuple[MessageStatus, ...] = ("completed", "failed", "cancelled")
    status = "running" if is_running else draw(st.sampled_from(ended))
    return ConversationTurn(draw(texts), draw(st.sampled_from(MODELS)), status, tuple(steps))


@st.composite
def conversations(draw: st.DrawFn) -> Conversation:
    earlier = draw(st.lists(turns(), max_size=3))
    running = draw(turns(is_running=True))
    return Conversation(draw(texts), (*earlier, running), tuple(draw(st.lists(texts, max_size=2))))
