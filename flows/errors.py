"""What a user sees when something is wrong: one line, a hint, an exit code."""

from __future__ import annotations

from pathlib import Path


class NielloError(Exception):
    """A failure that ends a command: a tool that failed, a mismatch, no device. One line, and perhaps a hint."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} (hint: {self.hint})" if self.hint else self.message


class Interrupted(BaseException):
    """The user or the system wants the command to end. No `Exception`, or a step could take it for its own failure."""


class BadInput(NielloError):
    """The user's input is wrong: names the file, the field, the allowed range and what came."""

    exit_code = 2


class ToolError(NielloError):
    """A tool ended with an error: the tool's own error line and where its log lies."""

    def __init__(self, tool: str, line: str, log: Path | None = None, *, hint: str | None = None):
        where = f"; log: {log}" if log else ""
        super().__init__(f"{tool}: {line}{where}", hint=hint)
        self.tool = tool
        self.log = log
