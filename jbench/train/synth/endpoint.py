"""Requests to a chat model at an OpenAI-compatible endpoint; every answer is on disk as soon as it comes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jbench.files import locked
from jbench.source import offline
from jbench.types import Advance, Unavailable, UsageError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_MOST_REFUSED = 10
"""So many refused requests in a row are no fault of theirs."""


@dataclass(frozen=True)
class Endpoint:
    """Where a chat model answers, and the ``key`` it wants (none: empty), which is never shown.

    ``concurrency`` requests are under way at a time. One that fails by the network, a rate limit or the server
    is sent again up to ``retries`` times, after the client's own back-off (0.5 to 8 s, or what the server says).

    :raises UsageError: for a URL that is none or holds a secret, a key that no header can carry, wrong numbers.
    """

    url: str
    key: str = field(default="", repr=False)
    concurrency: int = 8
    retries: int = 6

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            fits = fits and self.url.isprintable() and " " not in self.url
        except ValueError:
            fits = False
        if not fits or parts.username or parts.password or parts.query or parts.fragment:
            raise UsageError(
                "--endpoint is http(s)://HOST[:PORT][/PATH] alone, such as http://127.0.0.1:8000/v1; "
                "a key comes from the environment"
            )
        if not (self.key.isascii() and self.key.isprintable()):
            raise UsageError("the key in the environment has characters that no key has")
        if self.concurrency < 1 or self.retries < 0:
            raise UsageError("--concurrency is 1 or more, --retries 0 or more")


def key_of(variable: str | None) -> str:
    """The key in an environment variable; without a name that in ``OPENAI_API_KEY``, or none.

    :raises UsageError: when the variable is not set. Its name is not said: it may be the key itself.
    """
    found = os.environ.get(variable or "OPENAI_API_KEY", "").strip()
    if variable is not None and not found:
        raise UsageError("--key-env names no environment variable that is set")
    return found


@dataclass(frozen=True)
class Request:
    """A prompt for a model; ``settings`` are further fields of the request, such as a temperature."""

    model: str
    prompt: str
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """What names it in a journal: 32 hex digits of all that it asks."""
        asked = json.dumps([self.model, self.prompt, dict(self.settings)], sort_keys=True)
        return sha256(asked.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Journal:
    """Answers on disk, a JSON line each; in memory are only the places where they begin."""

    path: Path
    reader: IO[bytes]
    writer: IO[bytes]
    places: dict[str, int]

    def __contains__(self, request: Request) -> bool:
        return request.key in self.places

    def answer(self, request: Request) -> str | None:
        """What was answered, None where nothing was."""
        if (place := self.places.get(request.key)) is None:
            return None
        self.reader.seek(place)
        return _entry(self.reader.readline())[1]

    def keep(self, request: Request, answer: str) -> None:
        """Append an answer.

        :raises Unavailable: when the disk refuses.
        """
        entry = json.dumps({"key": request.key, "answer": answer}, ensure_ascii=False)
        line = f"{entry}\n".encode("utf-8", "surrogatepass")  # a server may send half a character
        try:
            place = self.writer.seek(0, 2)
            if self.writer.write(line) < len(line):
                raise Unavailable(f"cannot write {self.path}: the disk took part of a line only")
        except OSError as error:
            raise Unavailable(f"cannot write {self.path}: {error.strerror}") from error
        self.places[request.key] = place


@contextmanager
def journal(path: Path) -> Iterator[Journal]:
    """The journal at ``path``, new or gone on with; other processes wait. A torn last line is cut off.

    :raises Unavailable: when the disk refuses, or another line is no answer.
    """
    with locked(path):
        try:
            # Not through `files.writing`: what is appended must outlive a crash. Unbuffered, so that it does.
            writer, reader = open(path, "ab", buffering=0), open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise Unavailable(f"cannot write {path}: {error.strerror}") from error
        with writer, reader:
            places: dict[str, int] = {}
            end = 0
            for number, line in enumerate(reader, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    places[_entry(line)[0]] = end
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    raise Unavailable(f"{path}: line {number} is no answer; without it, it is asked again") from error
                end += len(line)
            writer.truncate(end)
            yield Journal(path, reader, writer, places)


def _entry(line: bytes) -> tuple[str, str]:
    entry = json.loads(line)
    return str(entry["key"]), str(entry["answer"])


def ask(endpoint: Endpoint, requests: Iterable[Request], kept: Journal, advance: Advance) -> list[str]:
    """Send each request and keep its answer as it comes; what the endpoint says to those that it refuses.

    A refused request (too long, say) has no answer, and the next time it is sent again.

    :raises Unavailable: when the network is off, the endpoint cannot be reached or fails after all retries, wants
        another key, has no such model, or refuses one request after the other. What was answered is kept.
    :raises KeyboardInterrupt: for SIGINT; SystemExit for SIGTERM.
    """
    if offline():
        raise Unavailable("the network is off ($JBENCH_OFFLINE), so that nothing can be asked")
    try:
        import openai
    except ImportError as error:
        raise Unavailable("endpoints are asked by the openai client: pip install 'jbench[synth]'") from error
    try:
        return asyncio.run(_ask(endpoint, iter(requests), kept, advance))
    except openai.OpenAIError as error:
        raise Unavailable(f"{_told(endpoint, error)}; what was answered is kept: the same command goes on") from error
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None


async def _ask(endpoint: Endpoint, requests: Iterator[Request], kept: Journal, advance: Advance) -> list[str]:
    from openai import AsyncOpenAI, BadRequestError, UnprocessableEntityError

    client = AsyncOpenAI(base_url=endpoint.url, api_key=endpoint.key or "none", max_retries=endpoint.retries)
    refused: list[str] = []
    in_a_row = 0

    async def work() -> None:
        nonlocal in_a_row
        for request in requests:  # each taken by one worker alone
            try:
                kept.keep(request, await _answer(endpoint, client, request))
                in_a_row = 0
            except (BadRequestError, UnprocessableEntityError) as error:
                refused.append(_told(endpoint, error))
                in_a_row += 1
                if in_a_row == _MOST_REFUSED:
                    raise
            advance(1)

    async with client:
        with _terminated():
            await asyncio.gather(*(work() for _ in range(endpoint.concurrency)))
    return refused


@contextmanager
def _terminated() -> Iterator[None]:
    """SIGTERM cancels what is under way; of signals, asyncio sees to SIGINT alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101
    before = signal.signal(signal.SIGTERM, lambda number, frame: loop.call_soon_threadsafe(task.cancel))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _answer(endpoint: Endpoint, client: AsyncOpenAI, request: Request) -> str:
    from openai import Omit

    # The client insists on a key; a server that wants none gets no header.
    headers: Any = None if endpoint.key else {"Authorization": Omit()}
    foreign = Unavailable(f"{endpoint.url} does not answer as chat completions do; is the path right?")
    try:
        found: Any = await client.chat.completions.create(
            model=request.model,
            messages=[{"role": "user", "content": request.prompt}],
            extra_headers=headers,
            extra_body=dict(request.settings),
        )
    except ValueError as error:  # no JSON
        raise foreign from error
    try:
        return str(found.choices[0].message.content or "")
    except (AttributeError, IndexError, TypeError) as error:
        raise foreign from error


def _told(endpoint: Endpoint, error: Exception) -> str:
    """What went wrong, without the key, which a server may say back."""
    cause = f" ({error.__cause__})" if error.__cause__ else ""
    said = f"{error}{cause}"
    if endpoint.key:
        said = said.replace(endpoint.key, "***")
    return f"{endpoint.url}: {said[:300]}"
