"""What a small language model of characters can go on from."""

from __future__ import annotations

from flows.errors import BadInput
from hdl.common.config import describe_value
from sim.common.language import CHARACTERS


def check_prompt(prompt: str, tokens: int, context: int) -> None:
    """Refuse prompts and numbers of tokens that a model of so large a context has no place for.

    Raises
    ------
    BadInput
        With the option, what it must be and what it is.
    """
    if not prompt:
        raise BadInput("--prompt must have at least one character")
    if strange := next((one for one in prompt if one not in CHARACTERS), None):
        raise BadInput(f"--prompt must be of printable ASCII and line feeds, not {describe_value(strange)}")
    most = context + 1 - len(prompt)
    if most < 1:
        raise BadInput(f"--prompt must have at most {context} characters, not {len(prompt)}")
    if not 1 <= tokens <= most:
        raise BadInput(f"--tokens must be in 1..{most} after this prompt, not {tokens}")
