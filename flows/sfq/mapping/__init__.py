"""From logic to a netlist of pulse cells, a module a step: `niello sfq map` calls them in this order.

`front_end` (source to and-inverter graph: `aig`), `kit` (what a library's cells can do), `covering` (ABC maps the graph
to a `network` of cells; `full_adders` are taken out first, also from `ripple`, and may be `adder_cells`), `levels` (the
clock stage of every cell), `choice` (of the cheapest network), `insertion` (flip-flops), `clock_tree` and `timing`,
`assembly` (the netlist), `checks` (what was written, against the source).
"""
