"""Boards, the top that carries a block, and the driver that talks to it."""
