"""Holds key bytes so that no print, log, pickle, copy or traceback can show them.

Python cannot wipe `bytes` from memory (the limitations page of pyca/cryptography says the same
of its own), so this protects against *showing* a key, not against reading this process's memory.
"""

import sys
import traceback
from types import TracebackType
from typing import Self

from vending.sts.secrecy import Unshown


class Secret(Unshown):
    """Bytes that show only their length; `reveal` is the one way to them.

    Call `reveal()` inside the expression that needs the bytes and never bind its result to a
    name: a traceback that prints local variables prints names.
    """

    __slots__ = ("_material",)

    def __init__(self, material: bytes) -> None:
        self._material = material

    def reveal(self) -> bytes:
        """Return the bytes themselves."""
        return self._material

    def __len__(self) -> int:
        return len(self._material)

    def __repr__(self) -> str:
        return f"Secret({len(self._material)} bytes)"


class ShieldedFrames:
    """A `with` block whose errors leave without the local variables of the frames inside it.

    Ciphers and key derivation hold keys in locals while they run. An error that escapes from
    them keeps its lines, and loses its values, before anything outside can print it. An error
    that was being handled before the block is left as it was.
    """

    __slots__ = ("_handled_before",)

    def __enter__(self) -> Self:
        self._handled_before = sys.exception()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        seen: list[BaseException] = []
        waiting = [error]
        while waiting:
            link = waiting.pop()
            if link is None or link is self._handled_before or link in seen:
                continue
            traceback.clear_frames(link.__traceback__)
            seen.append(link)
            waiting += [link.__cause__, link.__context__]
