"""Pictures of curves: what is drawn where."""

import xml.etree.ElementTree as ET

from flows.curves_picture import BELOW, LEFT, PANEL_HEIGHT, PANEL_WIDTH, TOP, Curve, Panel, curves_picture

SVG = "{http://www.w3.org/2000/svg}"


def test_points_lie_where_the_axes_say():
    curve = Curve("a<b", [(10, 0), (30, 4)], [(10, 0), (30, 4), (20, 1)])
    panel = Panel("first", "x", "y", (10, 20, 30), (0, 2, 4), [curve, Curve("other", [], [(30, 0)])])
    root = ET.fromstring(curves_picture("p", "title", "told", [panel, panel]))
    assert float(root.get("height")) == TOP + PANEL_HEIGHT + BELOW
    dots = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.iter(f"{SVG}circle") if dot.get("r") == "3"]
    bottom, right = TOP + PANEL_HEIGHT, LEFT + PANEL_WIDTH
    first = [(LEFT, bottom), (right, TOP), (LEFT + PANEL_WIDTH / 2, bottom - PANEL_HEIGHT / 4), (right, bottom)]
    assert dots[:4] == first
    shift = float(root.get("width")) / 2
    assert dots[4:] == [(x + shift, y) for x, y in first]
    lines = [line.get("points") for line in root.iter(f"{SVG}polyline") if line.get("class") == "line0"]
    assert lines[0] == f"{LEFT:g},{bottom:g} {right:g},{TOP:g}"
    assert "a<b" in [text.text for text in root.iter(f"{SVG}text")]
