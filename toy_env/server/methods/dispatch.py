"""From a request to a reply by the table of methods. Whatever a request holds, there is an answer and the server goes on."""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toy_env.server.errors import Malformed, Refused
from toy_env.server.layouts import Layouts
from toy_env.server.methods.names import CLIENT_METHODS
from toy_env.server.methods.registry import Method, Reply, kind_of
from toy_env.server.transport.rpc import Request, packed, reply, reply_with


@dataclass(slots=True)
class Entry:
    """A method, made ready for a version."""

    call: Callable[..., Any]
    decode: tuple[Callable[[Any], Any], ...]
    encode: Callable[[Any], Any]
    form: Reply
    result: Any = None
    """The last result, if it was a tuple: these never change, and settings, weather and catalogue are asked for again and again;"""
    packed: bytes = b""
    """and how it was sent."""


NOTHING = packed(((False,),))
"""The result of a method that gives none."""


class Dispatcher:
    """Answers requests.

    Args:
        methods: by name.
        layouts: of the client's version.
        context: handed to every method.
        report: takes a line about a defect.
        log: takes a line about every call; None: nobody wants to know.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        layouts: Layouts,
        context: Any,
        report: Callable[[str], None],
        log: Callable[[str], None] | None = None,
    ) -> None:
        self._context, self._report, self._log = context, report, log
        self._entries = {
            name: Entry(
                item.call,
                tuple(kind_of(kind, layouts).decode for kind in item.takes[: layouts.arguments.get(name)]),
                kind_of(item.gives, layouts).encode,
                item.reply,
            )
            for name, item in methods.items()
        }

    def answer(self, request: Request) -> bytes:
        """The reply. The first parameter is the client's call metadata, which changes nothing: even who does not wait gets an answer."""
        entry = self._entries.get(request.method)
        if entry is None:
            return self._error(request, _unknown(request.method))
        decode, form = entry.decode, entry.form
        try:
            arguments = [kind(value) for kind, value in zip(decode, request.params[1:], strict=True)]
            result = entry.call(self._context, *arguments)
            if self._log is not None:
                self._log(f"{request.method}{tuple(arguments)} -> {_short(result)}")
            if form is Reply.VOID:
                return reply_with(request.number, NOTHING)
            if entry.packed and result is entry.result:
                return reply_with(request.number, entry.packed)
            value = entry.encode(result)
            data = packed(value if form is Reply.BARE else ((1, value),))
            if isinstance(result, tuple):
                entry.result, entry.packed = result, data
            return reply_with(request.number, data)
        except Refused as refused:
            if self._log is not None:
                self._log(f"{request.method}: refused: {refused}")
            if form is Reply.BARE:
                return reply(request.number, str(refused), None)
            return reply(request.number, None, ((True, (str(refused),)) if form is Reply.VOID else (0, (str(refused),)),))
        except Malformed as error:
            return self._error(request, f"{request.method}: {error}")
        except Exception as error:  # noqa: BLE001 - a defect in one method must not take the world away from the other clients
            if isinstance(error, ValueError) and len(request.params) != len(decode) + 1:
                return self._error(request, f"{request.method} takes {len(decode)} arguments (found {len(request.params) - 1})")
            self._report(f"{request.method} failed: {''.join(traceback.format_exception(error)).rstrip()}")
            return self._error(request, f"{request.method} failed in the server: {type(error).__name__}: {error}")

    def _error(self, request: Request, sentence: str) -> bytes:
        if self._log is not None:
            self._log(f"{request.method}: error: {sentence}")
        return reply(request.number, sentence, None)


def _unknown(name: str) -> str:
    if name in CLIENT_METHODS:
        return f"{name} is not provided by the toy server of carla-rl; docs/server.md lists what is"
    return f"{name}: there is no such function"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
