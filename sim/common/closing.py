"""Objects of compiled code that are freed once: by `close`, at the end of a `with`, or when nothing holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Closing(ABC):
    """Something that is closed."""

    @abstractmethod
    def close(self) -> None:
        """Free it, unless that was done. Further calls of its other methods are errors."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
