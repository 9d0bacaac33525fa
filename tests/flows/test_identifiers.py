"""Escaped names become plain ones, unique in their module, and nothing else changes."""

from flows.identifiers import plain_identifiers


def test_identifiers_modules_are_prefixed_by_their_top():
    text = (
        "module \\top.core.bank (c);\n  input c;\nendmodule\nmodule top(c);\n  \\top.core.bank  u (.c(c));\nendmodule\n"
    )
    assert plain_identifiers(text, "top") == (
        "module top__core__bank (c);\n  input c;\nendmodule\nmodule top(c);\n  top__core__bank  u (.c(c));\nendmodule\n"
    )


def test_identifiers_nets_lose_their_brackets():
    text = "module m(a);\n  wire [7:0] \\a.data[3] ;\n  assign \\a.data[3]  = \\$12 [7:0];\n  wire \\$12 ;\nendmodule\n"
    assert plain_identifiers(text, "m") == (
        "module m(a);\n  wire [7:0] a_data_3;\n  assign a_data_3 = n_12[7:0];\n  wire n_12;\nendmodule\n"
    )


def test_identifiers_stay_unique():
    text = "module m(a_3, a_3_1);\n  wire \\a[3] ;\n  wire \\a.3 ;\nendmodule\n"
    assert plain_identifiers(text, "m") == "module m(a_3, a_3_1);\n  wire a_3_2;\n  wire a_3_3;\nendmodule\n"


def test_identifiers_keywords_stay_no_keywords():
    assert plain_identifiers("module m(a);\n  wire \\inside ;\nendmodule\n", "m") == (
        "module m(a);\n  wire inside_;\nendmodule\n"
    )


def test_identifiers_of_one_module_do_not_meet_those_of_another():
    text = "module m(a);\n  wire \\x[1] ;\nendmodule\nmodule n(x_1);\n  wire \\x[1] ;\nendmodule\n"
    assert plain_identifiers(text, "m") == (
        "module m(a);\n  wire x_1;\nendmodule\nmodule n(x_1);\n  wire x_1_1;\nendmodule\n"
    )
