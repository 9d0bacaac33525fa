// Joins a stream of 2056 bits and one of 24 bits: XOR of the wide word with the narrow one repeated.
module niello_slice (
    input clk, input rst,
    input [2055:0] s_axis_wide_tdata, input s_axis_wide_tlast, input s_axis_wide_tvalid, output s_axis_wide_tready,
    input [23:0] s_axis_narrow_tdata, input s_axis_narrow_tvalid, output s_axis_narrow_tready,
    output [2055:0] m_axis_joined_tdata, output m_axis_joined_tlast, output m_axis_joined_tvalid, input m_axis_joined_tready,
    output [7:0] m_axis_parity_tdata, output m_axis_parity_tvalid, input m_axis_parity_tready
);
    reg [2055:0] data;
    reg [23:0] narrow;
    reg last, full, told;
    wire done = (!full || m_axis_joined_tready) && (!told || m_axis_parity_tready);
    wire take = done && s_axis_wide_tvalid && s_axis_narrow_tvalid;
    assign s_axis_wide_tready = take, s_axis_narrow_tready = take;
    assign m_axis_joined_tdata = data ^ {narrow[15:0], {85{narrow}}};
    assign m_axis_joined_tlast = last;
    assign m_axis_joined_tvalid = full;
    assign m_axis_parity_tdata = {7'd0, ^data};
    assign m_axis_parity_tvalid = told;
    always @(posedge clk) begin
        if (m_axis_joined_tready) full <= 0;
        if (m_axis_parity_tready) told <= 0;
        if (take) begin
            data <= s_axis_wide_tdata;
            narrow <= s_axis_narrow_tdata;
            last <= s_axis_wide_tlast;
            full <= 1;
            told <= 1;
        end
        if (rst) begin full <= 0; told <= 0; end
    end
endmodule
