// A register slice that negates its data, with one fault at a time, a register bus, and a wide signal port.
module niello_slice (
    input clk, input rst,
    input [3:0] fault,
    input [99:0] wide_in, output [99:0] wide_out,
    input [31:0] s_axis_a_tdata, input s_axis_a_tlast, input s_axis_a_tvalid, output s_axis_a_tready,
    output [31:0] m_axis_y_tdata, output m_axis_y_tlast, output m_axis_y_tvalid, input m_axis_y_tready,
    input [7:0] s_axil_awaddr, input [2:0] s_axil_awprot, input s_axil_awvalid, output s_axil_awready,
    input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
    output reg [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
    input [7:0] s_axil_araddr, input [2:0] s_axil_arprot, input s_axil_arvalid, output s_axil_arready,
    output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp, output reg s_axil_rvalid, input s_axil_rready
);
    localparam WITHDRAWS = 1, CHANGES = 2, STOPS = 3, WAITS = 4, REPEATS = 5, TALKS_IN_RESET = 6, IGNORES_VALID = 7,
               ENDS = 8, SWALLOWS = 9, MUTE_BUS = 10, EARLY_BUS = 11, KEEPS_STATE = 12, LOSES_LAST = 13;
    reg [31:0] data, count, scratch;
    reg last, full, repeated;
    wire stopped = fault == STOPS && count >= 20;
    wire take = s_axis_a_tready && (s_axis_a_tvalid || (fault == IGNORES_VALID && count[3:0] == 15));
    wire give = m_axis_y_tvalid && m_axis_y_tready;

    assign wide_out = ~wide_in;
    assign m_axis_y_tvalid = (full && !(fault == WAITS && !m_axis_y_tready)) || (fault == TALKS_IN_RESET && rst);
    assign m_axis_y_tdata = data;
    assign m_axis_y_tlast = last && fault != LOSES_LAST;
    assign s_axis_a_tready = (!full || give) && !stopped && !(fault == REPEATS && give && !repeated);

    always @(posedge clk) begin
        if (give) begin
            full <= fault == REPEATS && !repeated && count == 10;
            repeated <= count == 10;
        end
        if (take) begin
            data <= -s_axis_a_tdata;
            last <= s_axis_a_tlast;
            full <= !(fault == SWALLOWS && count == 12);
            count <= count + 1;
        end
        if (fault == WITHDRAWS && full && !m_axis_y_tready && count == 10) full <= 0;
        if (fault == CHANGES && full && !m_axis_y_tready && count == 10) data <= data + 1;
        if (fault == ENDS && count == 10) $stop;
        if (rst) begin
            if (fault != KEEPS_STATE) full <= 0;
            repeated <= 0;
            count <= 0;
        end
    end

    // Registers: 0x0 scratch, 0x4 beats taken, 0x8 refuses with SLVERR, others DECERR.
    reg aw, w;
    reg [7:0] address;
    reg [31:0] value;
    assign s_axil_awready = !aw && !s_axil_bvalid && fault != MUTE_BUS;
    assign s_axil_wready = !w && !s_axil_bvalid;
    assign s_axil_arready = !s_axil_rvalid;
    always @(posedge clk) begin
        if (s_axil_awvalid && s_axil_awready) begin aw <= 1; address <= s_axil_awaddr; end
        if (s_axil_wvalid && s_axil_wready) begin w <= 1; value <= s_axil_wdata; end
        if (aw && w) begin
            if (address == 0) scratch <= value;
            s_axil_bresp <= address == 0 ? 0 : address == 8 ? 2 : 3;
            s_axil_bvalid <= 1;
            aw <= 0;
            w <= 0;
        end else if (fault == EARLY_BUS && aw) s_axil_bvalid <= 1;
        if (s_axil_bvalid && s_axil_bready) s_axil_bvalid <= 0;
        if (s_axil_arvalid && s_axil_arready) begin
            s_axil_rdata <= s_axil_araddr == 0 ? scratch : s_axil_araddr == 4 ? count : 0;
            s_axil_rresp <= s_axil_araddr <= 4 ? 0 : s_axil_araddr == 8 ? 2 : 3;
            s_axil_rvalid <= 1;
        end
        if (s_axil_rvalid && s_axil_rready) s_axil_rvalid <= 0;
        if (rst) begin
            aw <= 0; w <= 0; scratch <= 0; s_axil_bvalid <= 0; s_axil_rvalid <= 0;
        end
    end
endmodule
