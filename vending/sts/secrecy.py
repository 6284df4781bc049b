"""What every holder of key bytes refuses (IEC 62055-41, key management: no key is shown)."""

from typing import Never, SupportsIndex


class Unshown:
    """Base of whatever holds key bytes: it is neither pickled nor copied.

    `dataclasses.asdict` copies what it finds, so it refuses as well.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Never:
        message = "key material is neither pickled nor copied"
        raise TypeError(message)
