"""Answers with the status of an error."""

from typing import Any

from tests.model_servers.answers import Body, answered, html, in_order
from tests.model_servers.habit import Expected, Habit, failed, refused_at_once
from tests.model_servers.objects import error

_KEY = "sk-proj-abcdefghijklmnop"


def _final(name: str, by: str, status: int, value: Any, *expected: str, **more: Any) -> Habit:
    """A server whose refusal no further call can change."""
    answer = html(status, value) if isinstance(value, str) and value.startswith("<") else Body(status, value)
    return Habit(name, by, f"Answers {status}, which means {expected[0]}.", answer, refused_at_once(*expected, **more))


def _passing(name: str, by: str, status: int, value: Any, *expected: str) -> Habit:
    """A server with a fault that may pass, and does not."""
    answer = html(status, value) if isinstance(value, str) and value.startswith("<") else Body(status, value)
    return Habit(name, by, f"Answers {status} every time, which may pass.", answer, failed(*expected))


def _advising(name: str, status: int, advice: str, expects: Expected) -> Habit:
    does = f"Answers {status} with `x-should-retry: {advice}`."
    refusal = Body(status, error("No"), {"x-should-retry": advice})
    return Habit(name, "OpenAI", does, in_order(refusal, answered()), expects)


HABITS = (
    _final(
        "400-filter",
        "Azure OpenAI",
        400,
        error(
            "Triggering Azure OpenAI's content management policy.",
            "content_filter",
            innererror={"code": "ResponsibleAIPolicyViolation"},
        ),
        "content_filter",
        "policy",
    ),
    _final(
        "400-risk",
        "Moonshot",
        400,
        error("The request was rejected because it was considered high risk"),
        "content_filter",
        "high risk",
    ),
    _final(
        "400-list",
        "Gemini",
        400,
        [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
        "model_refused",
        "API key not valid",
    ),
    _final("400-text", "small servers", 400, "bad things", "model_refused", "bad things"),
    _final(
        "400-error-text",
        "Ollama",
        400,
        {"error": "this model does not support tools"},
        "model_refused",
        "does not support tools",
    ),
    _final(
        "400-twice-wrapped",
        "LiteLLM",
        400,
        error('litellm.BadRequestError: {"a": 1}'),
        "model_refused",
        "litellm.BadRequestError",
    ),
    _final(
        "400-shows-key",
        "gateways",
        400,
        error(f"Incorrect key {_KEY} for https://llm.corp/v1"),
        "model_refused",
        "Incorrect key",
        hides=_KEY,
    ),
    _final(
        "401",
        "OpenAI",
        401,
        error("Incorrect API key provided: sk-12**cd", "invalid_api_key"),
        "model_unauthorized",
        "Incorrect",
        hides="sk-12",
    ),
    _final("402", "DeepSeek, OpenRouter", 402, error("Insufficient Balance", 402), "insufficient_quota", "Balance"),
    _final(
        "403-page",
        "Cloudflare",
        403,
        "<!DOCTYPE html><html><style>p {}</style>" + "<p>Blocked</p>" * 900 + "</html>",
        "model_unauthorized",
        "Blocked",
        hides="style",
    ),
    _final(
        "403-spent",
        "xAI",
        403,
        {"code": "The caller does not have permission", "error": "Your team has used all available credits."},
        "insufficient_quota",
        "credits",
    ),
    _final(
        "403-arn",
        "Bedrock gateways",
        403,
        {"Message": "User: arn:aws:iam::123456789012:user/x is not authorized"},
        "model_unauthorized",
        "not authorized",
        hides="123456789012",
    ),
    _final(
        "404-deployment",
        "Azure OpenAI",
        404,
        error("The API deployment does not exist.", "DeploymentNotFound"),
        "model_not_found",
        "deployment",
    ),
    _final("404-detail", "FastAPI", 404, {"detail": "Not Found"}, "model_not_found", "Not Found"),
    _final(
        "410", "Cohere, Groq", 410, error("The model has been decommissioned."), "model_not_found", "decommissioned"
    ),
    _final(
        "412-spent",
        "Fireworks",
        412,
        error("Account suspended, possibly due to reaching the monthly spending limit."),
        "insufficient_quota",
        "suspended",
    ),
    _final(
        "413-page", "nginx", 413, "<html><h1>413 Request Entity Too Large</h1></html>", "model_refused", "Too Large"
    ),
    _final(
        "422-detail",
        "FastAPI",
        422,
        {"detail": [{"type": "value_error", "loc": ["body", "messages"], "msg": "Bad role"}]},
        "model_refused",
        "Bad role",
    ),
    _final(
        "422-errors",
        "Cloudflare",
        422,
        {"success": False, "errors": [{"code": 5006, "message": "Bad input"}], "messages": []},
        "model_refused",
        "Bad input",
    ),
    _final(
        "429-quota",
        "OpenAI",
        429,
        error("You exceeded your current quota, please check your plan.", "insufficient_quota"),
        "insufficient_quota",
        "quota",
    ),
    _final(
        "429-suspended",
        "Moonshot",
        429,
        error(
            "Your account is suspended, please check your plan and billing details", type="exceeded_current_quota_error"
        ),
        "insufficient_quota",
        "suspended",
    ),
    _final(
        "400-credit",
        "Claude behind gateways",
        400,
        error("Your credit balance is too low"),
        "insufficient_quota",
        "balance",
    ),
    _passing("408", "OpenRouter", 408, error("Timed out", 408), "model_timeout"),
    _passing("409", "Azure OpenAI", 409, error("Conflict"), "model_unavailable"),
    _passing("424", "Bedrock gateways", 424, {"message": "Model error"}, "model_unavailable", "Model error"),
    _passing("498", "Groq", 498, error("Flex tier capacity exceeded"), "model_unavailable", "capacity"),
    _passing(
        "499",
        "Gemini",
        499,
        [{"error": {"code": 499, "message": "The operation was cancelled.", "status": "CANCELLED"}}],
        "model_unavailable",
        "cancelled",
    ),
    _passing("500", "all", 500, error("The server had an error"), "model_unavailable", "error"),
    _passing("502-page", "nginx", 502, "<html><h1>502 Bad Gateway</h1></html>", "model_unavailable", "Bad Gateway"),
    _passing(
        "503-page",
        "Hugging Face",
        503,
        "<html><script>var x = 1</script><p>Loading</p></html>",
        "model_unavailable",
        "503: Loading",
    ),
    _passing("503-nothing", "load balancers", 503, "", "model_unavailable", "503."),
    _passing("529", "Anthropic, Mistral", 529, error("Overloaded"), "model_unavailable", "Overloaded"),
    _passing(
        "429-tokens",
        "Bedrock gateways",
        429,
        {"message": "Too many tokens, please wait before trying again."},
        "model_rate_limited",
    ),
    Habit(
        "400-bad-call",
        "Groq",
        "Refuses once what the model wrote as a call.",
        in_order(Body(400, error("Failed to call a function.", "tool_use_failed")), answered()),
        Expected(max_calls=2),
    ),
    _advising("503-no-retry", 503, "false", refused_at_once("model_unavailable", "No")),
    _advising("400-retry", 400, "true", Expected(max_calls=2)),
)
