"""Calls to an endpoint: tried again where that helps, paid once, within the budget."""

from __future__ import annotations

import json
import threading
from typing import Any

from residuum.core import LoadError, OptionError
from residuum.dictionaries.labels.answer_file import Answer, AnswerFile
from residuum.dictionaries.labels.cost import Budget, Cost
from residuum.dictionaries.labels.endpoint import Endpoint

_AGAIN = {408, 409, 425, 429}
_LONGEST_WAIT, _LONGEST_WORD = 60.0, 200
_BYTES_AROUND = 64
_MENDS = {
    401: "look at the key in the environment variable that key_env names",
    403: "look at the key in the environment variable that key_env names, and what it allows",
    404: "look at base_url (it usually ends in /v1) and at the model's name",
}


class Stopped(Exception):
    """Another call has failed for good, so this one is not made."""


class Calls:
    """Asks an endpoint; safe with threads.

    Args:
        endpoint: whom.
        answers: what was paid for already, and where to keep more.
        budget: what may be spent.

    Raises:
        OptionError: no client installed; no key.
    """

    def __init__(self, endpoint: Endpoint, answers: AnswerFile, budget: Budget) -> None:
        self.endpoint, self._answers, self._budget = endpoint, answers, budget
        self._key = endpoint.key()
        self._openai = _client_library()
        self._client = self._openai.OpenAI(
            api_key=self._key, base_url=endpoint.base_url, max_retries=0,
            timeout=endpoint.timeout_seconds,
        )  # fmt: skip
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.used: dict[str, Answer] = {}
        self.retried = 0

    def ask(self, messages: list[dict[str, str]]) -> str | None:
        """The reply to some messages; None if its body could not be read.

        Raises:
            LoadError: the endpoint refuses, or does not answer after all retries.
            OptionError: the budget does not allow it.
            Stopped: :meth:`stop` was called.
        """
        key = self.endpoint.request_hash(messages)
        answer = self._answers.answers.get(key)
        if answer is None:
            answer = self._paid(key, messages)
        with self._lock:
            self.used[key] = answer
        return answer.reply

    def stop(self) -> None:
        """Make no more calls."""
        self._stop.set()

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    @property
    def cost(self) -> Cost:
        """Of all answers that were used, those kept from before among them."""
        used = self.used.values()
        return Cost(len(used), sum(each.tokens_in for each in used),
                    sum(each.tokens_out for each in used), self.endpoint.price)  # fmt: skip

    def _paid(self, key: str, messages: list[dict[str, str]]) -> Answer:
        bound = most_of(messages, self.endpoint)
        self._budget.reserve(bound)
        paid = Cost()
        try:
            answer = _answer(key, self._sent(messages), bound)
            paid = Cost(1, answer.tokens_in, answer.tokens_out)
            self._answers.append(answer)
        finally:
            self._budget.settle(bound, paid)
        return answer

    def _sent(self, messages: list[dict[str, str]]) -> str:
        """The body of the answer; tried again as often as the endpoint's options say."""
        for attempt in range(self.endpoint.retries + 1):
            if self._stop.is_set():
                raise Stopped
            try:
                create: Any = self._client.chat.completions.with_raw_response.create
                return create(**self.endpoint.request(messages)).http_response.text
            except self._openai.OpenAIError as error:
                wait = self._wait(error, attempt)
            with self._lock:
                self.retried += 1
            self._stop.wait(wait)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def _wait(self, error: Any, attempt: int) -> float:
        """Seconds until the next attempt.

        Raises:
            LoadError: there is none.
        """
        status = getattr(error, "status_code", None)
        on_the_way = isinstance(error, self._openai.APIConnectionError)
        later = on_the_way or (status is not None and (status in _AGAIN or status >= 500))
        if getattr(error, "code", None) == "insufficient_quota":
            later = False
        if not later or attempt == self.endpoint.retries:
            raise self._failed(error, status, attempt if later else None) from None
        told = _retry_after(error)
        wait = self.endpoint.backoff_seconds * 2**attempt if told is None else told
        return min(wait, _LONGEST_WAIT)

    def _failed(self, error: Any, status: int | None, retries: int | None) -> LoadError:
        words = " ".join(str(error).split()).replace(self._key, "***")[:_LONGEST_WORD]
        tried = "" if retries is None else f" after {retries} retries"
        what = f"status {status}" if status is not None else "no connection"
        mend = _MENDS.get(status or 0, "call again later; the answers so far are kept with keep=")
        return LoadError(
            f"the endpoint gave no answer{tried}: {what}: {words}",
            mend=mend,
            where=self.endpoint.base_url,
        )


def most_of(messages: list[dict[str, str]], endpoint: Endpoint) -> Cost:
    """What a call costs at most: a token for each byte, and the longest reply."""
    size = sum(len(each["content"].encode()) + _BYTES_AROUND for each in messages)
    return Cost(1, size, endpoint.longest_reply, endpoint.price)


def _client_library() -> Any:
    try:
        import openai
    except ImportError as error:
        raise OptionError(
            "labels by an endpoint need the client library 'openai', which is not installed",
            mend="pip install 'residuum[labels]', or label without one: by=TokenStatistics()",
        ) from error
    return openai


def _answer(key: str, body: str, bound: Cost) -> Answer:
    """A body, read; what it does not say about its cost is taken at the most it can be."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    data = data if isinstance(data, dict) else {}
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    tokens_in = _count(usage.get("prompt_tokens"), bound.tokens_in)
    tokens_out = _count(usage.get("completion_tokens"), bound.tokens_out)
    return Answer(key, _content(data), tokens_in, tokens_out)


def _content(data: dict[str, Any]) -> str | None:
    choices = data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, str) else None


def _count(given: Any, otherwise: int) -> int:
    return given if type(given) is int and given >= 0 else otherwise


def _retry_after(error: Any) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        told = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return told if told >= 0 else None
