"""A language model behind an address that speaks OpenAI's chat protocol."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from residuum.core import OptionError, content_hash
from residuum.dictionaries.labels.cost import Price
from residuum.runs.arguments import need_text, shown, whole_number

_OWN_FIELDS = {"model", "messages", "temperature", "max_tokens", "stream", "n"}


@dataclass(frozen=True)
class Endpoint:
    """Label by a language model: it reads examples, and then answers questions about its label.

    Needs the package's ``labels`` extra. The key is read from the environment when a call is made;
    it is in no file, record or message.

    Attributes:
        base_url: such as ``"http://localhost:8000/v1"``.
        model: its name there.
        key_env: the environment variable that holds the key; None for an endpoint without one.
        price: of a million tokens.
        concurrency: calls at a time.
        timeout_seconds: of one call.
        retries: of a call that was refused for now (429), failed there (5xx) or on the way.
        backoff_seconds: before the first of them, doubled each time, at most a minute; where the
            endpoint says how long (``Retry-After``), that.
        temperature: of its answers.
        questions: texts in one call.
        longest_reply: tokens of a reply at most.
        options: other fields of the request, such as ``{"seed": 0}``.

    Raises:
        OptionError: no address, or one with a password or a query in it; a number out of range.
    """

    base_url: str
    model: str
    key_env: str | None = "OPENAI_API_KEY"
    price: Price | None = None
    concurrency: int = 4
    timeout_seconds: float = 60.0
    retries: int = 6
    backoff_seconds: float = 1.0
    temperature: float = 0.0
    questions: int = 10
    longest_reply: int = 400
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        need_text(self.base_url, "base_url")
        need_text(self.model, "model")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(
                f"base_url={shown(self.base_url)} is no address",
                mend='give one such as "http://localhost:8000/v1"',
            )
        if parts.username or parts.password or parts.query:
            raise OptionError(
                "base_url holds a user, a password or a query, which would be written to files",
                mend="put the key into an environment variable and name it: key_env=...",
            )
        for name, least in (("concurrency", 1), ("retries", 0), ("questions", 1)):
            whole_number(getattr(self, name), name, least)
        whole_number(self.longest_reply, "longest_reply", 16)
        for name, least in (("timeout_seconds", 1e-3), ("backoff_seconds", 0), ("temperature", 0)):
            _need_number(getattr(self, name), name, least)
        taken = {"model", "messages", "temperature", "max_tokens", "stream", "n"} & set(
            self.options
        )
        if taken:
            raise OptionError(
                f"options names {sorted(taken)[0]!r}, which Endpoint sets itself",
                mend="use Endpoint's own arguments, or leave it out",
            )

    def key(self) -> str:
        """From the environment.

        Raises:
            OptionError: it is not there.
        """
        if self.key_env is None:
            return "none"
        found = os.environ.get(self.key_env, "")
        if not found.strip():
            raise OptionError(
                f"the environment variable {self.key_env} holds no key",
                mend="set it, or give key_env=None for an endpoint without a key",
            )
        return found.strip()

    def request(self, messages: list[dict[str, str]]) -> dict[str, Any]:
        """Fields of a call."""
        return {
            "model": self.model, "messages": messages, "temperature": self.temperature,
            "max_tokens": self.longest_reply, "extra_body": dict(self.options),
        }  # fmt: skip

    def request_hash(self, messages: list[dict[str, str]]) -> str:
        """Of all that decides an answer."""
        return content_hash({"base_url": self.base_url, **self.request(messages)})

    def to_json(self) -> dict[str, Any]:
        """Plain data; no key."""
        return {
            "by": "Endpoint", "base_url": self.base_url, "model": self.model,
            "temperature": self.temperature, "questions": self.questions,
            "longest_reply": self.longest_reply, "options": dict(self.options),
        }  # fmt: skip


def _need_number(value: Any, name: str, least: float) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not least <= value < math.inf:
        raise OptionError(f"{name}={shown(value)} is out of range", mend=f"give {least:g} or more")
