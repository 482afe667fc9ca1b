"""A chat completion request, as far as the scripted model reads it."""

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator


class Function(BaseModel):
    """A function as offered (with `parameters`) or called (with `arguments`)."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    parameters: dict[str, Any] = {}
    arguments: str = ""


class Tool(BaseModel):
    """A tool as offered, or called (then with an `id`)."""

    id: str = ""
    type: Literal["function"] = "function"
    function: Function


class Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[Tool] | None = Field(default=None, min_length=1)
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""

    @property
    def pictures(self) -> int:
        parts = self.content if isinstance(self.content, list) else []
        return sum(1 for part in parts if part.get("type") == "image_url")


class ChatRequest(BaseModel):
    """The fields that the app sends; another choice of tools than "none" or "auto" is refused."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    tools: list[Tool] | None = Field(default=None, min_length=1)
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: Literal[True] | None = None
    response_format: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check_that_calls_are_answered(self) -> "ChatRequest":
        """OpenAI refuses a conversation in which a tool call and its result do not follow each other."""
        unanswered: set[str] = set()
        for message in self.messages:
            if message.role == "tool":
                if message.tool_call_id not in unanswered:
                    raise ValueError("messages with role 'tool' must answer a preceding message with 'tool_calls'")
                unanswered.remove(message.tool_call_id)
            elif unanswered:
                break
            else:
                unanswered = {call.id for call in message.tool_calls or []}
        if unanswered:
            raise ValueError(f"these tool_call_ids have no response message: {', '.join(sorted(unanswered))}")
        return self
