"""SystemRDL files through systemrdl-compiler: errors in one line, and only what our gateware can build.

`hdl.common.registers` says what a file may hold; this module reads and checks it.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from systemrdl.compiler import RDLCompiler
from systemrdl.component import Addrmap
from systemrdl.messages import MessagePrinter, RDLCompileError, Severity
from systemrdl.node import AddrmapNode, FieldNode, Node, RegNode
from systemrdl.rdltypes.builtin_enums import AccessType, OnReadType, OnWriteType, PrecedenceType
from systemrdl.source_ref import DetailedFileSourceRef, SourceRefBase

from hdl.common.config import did_you_mean
from hdl.common.registers import (
    LEAST_ADDRESS_BITS,
    REGISTER_BITS,
    REGISTER_BYTES,
    Field,
    Register,
    RegisterError,
    RegisterMap,
)

MAP_PROPERTIES = {"name", "desc", "addressing", "alignment", "ispresent"}
REGISTER_PROPERTIES = {"name", "desc", "regwidth", "accesswidth", "ispresent"}
FLAGS = ("hwset", "hwclr", "we", "singlepulse", "swmod", "swacc")
FIELD_PROPERTIES = {"name", "desc", "sw", "hw", "reset", "fieldwidth", "ispresent", "precedence", *FLAGS}
FIELD_PROPERTIES |= {"woclr", "woset", "onwrite", "rclr", "onread"}

# Names that the gateware's interfaces and components have already.
RESERVED = {"bus", "signature", "elaborate", "metadata"}


class _Messages(MessagePrinter):
    """Keeps the compiler's first error instead of printing."""

    def __init__(self) -> None:
        self.first: tuple[str, SourceRefBase | None] | None = None

    def print_message(self, severity: Severity, text: str, src_ref: SourceRefBase | None) -> None:
        if severity >= Severity.ERROR and self.first is None:
            self.first = (text, src_ref)


def elaborate(path: Path, parameters: Mapping[str, int], *, name: str | None = None) -> AddrmapNode:
    """The last addrmap of the file, elaborated with `parameters`, its instance called `name` (default: its own name).

    Raises
    ------
    RegisterError
        With the compiler's first error: file, line, message.
    """
    if not path.is_file():
        raise RegisterError(f"{path}: no such register file")
    messages = _Messages()
    compiler = RDLCompiler(message_printer=messages)
    try:
        compiler.compile_file(str(path))
        tops = [top for top in compiler.root.comp_defs.values() if isinstance(top, Addrmap)]
        known = list(tops[-1].parameters_dict) if tops else []
        for parameter in parameters:
            if tops and parameter not in known:
                hint = did_you_mean(parameter, known) if known else "; it has none"
                raise RegisterError(f"{path}: {parameter} is not a parameter{hint}")
        return compiler.elaborate(inst_name=name, parameters=dict(parameters)).top
    except RDLCompileError as error:
        text, where = messages.first or (str(error), None)
        line = f":{where.line}" if isinstance(where, DetailedFileSourceRef) else ""
        file = getattr(where, "path", path)
        raise RegisterError(f"{file}{line}: {' '.join(text.split())}") from None
    except UnicodeDecodeError:
        raise RegisterError(f"{path}: not a text file") from None


def register_map(node: AddrmapNode, path: Path) -> RegisterMap:
    """The elaborated addrmap as plain data, checked against what we support."""
    registers: list[Register] = []
    end = 0
    for register in _registers(node, f"{path}: "):
        if register.offset_bytes < end:
            raise RegisterError(f"{path}: {register.name} overlaps {registers[-1].name} at {register.offset_bytes:#x}")
        if any(register.name == other.name for other in registers):
            raise RegisterError(f"{path}: {register.name} is the name of two registers")
        end = register.offset_bytes + REGISTER_BYTES
        registers.append(register)
    if not registers:
        raise RegisterError(f"{path}: addrmap {node.inst_name} has no registers")
    return RegisterMap(
        name=node.inst_name,
        title=node.get_property("name"),
        description=node.get_property("desc") or "",
        size_bytes=end,
        address_bits=max(LEAST_ADDRESS_BITS, (end - 1).bit_length()),
        registers=tuple(registers),
    )


def _registers(node: AddrmapNode, where: str) -> Iterator[Register]:
    """Those of an addrmap and of the addrmaps in it, whose registers have its name before theirs."""
    _check_properties(node, MAP_PROPERTIES, f"{where}addrmap {node.inst_name}")
    for child in node.children():
        here = f"{where}{child.inst_name}"
        if isinstance(child, AddrmapNode):
            if child.is_array and len(child.array_dimensions or ()) > 1:
                raise RegisterError(f"{here} is an array of more than one dimension; it must have one")
            for instance in child.unrolled():
                number = "".join(map(str, instance.current_idx or ()))
                for one in _registers(instance, f"{here}{number}."):
                    name, offset = f"{child.inst_name}{number}_{one.name}", instance.address_offset + one.offset_bytes
                    yield replace(one, name=name, offset_bytes=offset)
        elif isinstance(child, RegNode):
            yield _register(child, here)
        else:
            raise RegisterError(f"{here} is a {child.component_type_name}; only registers are supported")


def _register(node: RegNode, where: str) -> Register:
    _check_properties(node, REGISTER_PROPERTIES, where)
    _check_name(node.inst_name, where)
    if node.is_array:
        raise RegisterError(f"{where} is an array; only single registers are supported")
    if node.external:
        raise RegisterError(f"{where} is external; only internal registers are supported")
    for name in ("regwidth", "accesswidth"):
        if node.get_property(name) != REGISTER_BITS:
            raise RegisterError(f"{where}.{name} must be {REGISTER_BITS}, not {node.get_property(name)}")
    if node.address_offset % REGISTER_BYTES:
        raise RegisterError(f"{where} must be at a multiple of {REGISTER_BYTES}, not at {node.address_offset:#x}")
    fields: list[Field] = []
    end = 0
    for child in sorted(node.children(), key=lambda child: child.low if isinstance(child, FieldNode) else -1):
        if not isinstance(child, FieldNode):
            raise RegisterError(
                f"{where}.{child.inst_name} is a {child.component_type_name}; only fields are supported"
            )
        field = _field(child, f"{where}.{child.inst_name}")
        if field.low < end:
            raise RegisterError(f"{where}.{field.name} overlaps {fields[-1].name} at bit {field.low}")
        end = field.low + field.width
        fields.append(field)
    return Register(
        name=node.inst_name,
        title=node.get_property("name"),
        description=node.get_property("desc") or "",
        offset_bytes=node.address_offset,
        fields=tuple(fields),
    )


def _field(node: FieldNode, where: str) -> Field:
    _check_properties(node, FIELD_PROPERTIES, where)
    _check_name(node.inst_name, where)
    sw, hw, on_write, on_read = (node.get_property(name) for name in ("sw", "hw", "onwrite", "onread"))
    if sw not in (AccessType.r, AccessType.w, AccessType.rw):
        raise RegisterError(f"{where}.sw must be r, w or rw, not {sw.name}")
    if hw not in (AccessType.r, AccessType.w, AccessType.rw, AccessType.na):
        raise RegisterError(f"{where}.hw must be r, w, rw or na, not {hw.name}")
    if on_write not in (None, OnWriteType.woclr, OnWriteType.woset):
        raise RegisterError(f"{where}.onwrite must be woclr or woset, not {on_write.name}")
    if on_read not in (None, OnReadType.rclr):
        raise RegisterError(f"{where}.onread must be rclr, not {on_read.name}")
    if "precedence" in node.list_properties() and node.get_property("precedence") != PrecedenceType.hw:
        raise RegisterError(f"{where}.precedence must be hw: a change by hardware wins over one by software")
    reset = node.get_property("reset")
    for name, value in {flag: node.get_property(flag) for flag in FLAGS}.items():
        if not isinstance(value, bool):
            raise RegisterError(f"{where}.{name} must be true or false, not a reference")
    if reset is not None and not isinstance(reset, int):
        raise RegisterError(f"{where}.reset must be a number, not a reference")
    field = Field(
        name=node.inst_name,
        title=node.get_property("name"),
        description=node.get_property("desc") or "",
        low=node.low,
        width=node.width,
        sw=sw.name,
        hw=hw.name,
        reset=reset or 0,
        woclr=on_write == OnWriteType.woclr,
        woset=on_write == OnWriteType.woset,
        rclr=on_read == OnReadType.rclr,
        **{flag: node.get_property(flag) for flag in FLAGS},
    )
    problem = _contradiction(field, has_reset=reset is not None)
    if problem:
        raise RegisterError(f"{where}: {problem}")
    return field


def _contradiction(field: Field, *, has_reset: bool) -> str | None:
    """Why the field's properties do not go together, or None."""
    hardware_changes = field.hwset or field.hwclr or field.we
    rules = [
        (field.hw == "na" and hardware_changes, "hw = na does not go with hwset, hwclr or we"),
        (field.we and "w" not in field.hw, "we needs hw = w or rw"),
        (field.is_live and field.software_writes, "software and hardware both write it: give it we, hwset or hwclr"),
        (
            field.is_live and field.hw == "rw",
            "hw = rw needs we, hwset or hwclr: a live field is the hardware's own wire",
        ),
        (field.is_live and field.rclr, "rclr needs a stored field: give it we, hwset or hwclr"),
        (field.is_live and has_reset, "a live field has no reset value: it is the hardware's wire"),
        (not field.is_live and not has_reset, "it needs a reset value"),
        ((field.woclr or field.woset) and not field.software_writes, "woclr and woset need sw = w or rw"),
        (field.rclr and "r" not in field.sw, "rclr needs sw = r or rw"),
        (field.rclr and field.is_constant, "rclr needs a field that can change"),
        (field.swmod and not field.software_writes, "swmod needs sw = w or rw"),
        (field.swmod and field.rclr, "swmod does not go with rclr: swacc tells of reads"),
        (field.swacc and "r" not in field.sw, "swacc needs sw = r or rw"),
        (field.singlepulse and not field.software_writes, "singlepulse needs sw = w or rw"),
        (field.singlepulse and field.width != 1, "singlepulse needs a field of one bit"),
        (field.singlepulse and field.reset != 0, "singlepulse needs reset = 0"),
        (field.singlepulse and field.hw != "r", "singlepulse needs hw = r"),
        (
            field.singlepulse and (hardware_changes or field.woclr or field.woset or field.rclr),
            "singlepulse does not go with hwset, hwclr, we, woclr, woset or rclr",
        ),
        (field.sw == "w" and field.hw in ("na", "w") and not field.swmod, "nobody reads it: give it hw = r or swmod"),
    ]
    return next((message for broken, message in rules if broken), None)


def _check_properties(node: Node, supported: set[str], where: str) -> None:
    for name in node.list_properties():
        if name not in supported:
            raise RegisterError(f"{where}.{name} is not supported{did_you_mean(name, sorted(supported))}")


def _check_name(name: str, where: str) -> None:
    if name in RESERVED or keyword.iskeyword(name) or name.startswith("_"):
        raise RegisterError(f"{where}: the name {name} is reserved")
