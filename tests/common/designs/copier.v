// Copies a burst of up to 16 words of 64 bits over AXI4; `fault` makes it break a rule.
module copier(
    input clk, input rst, input start, input [31:0] source, input [31:0] target, input [3:0] length, input [2:0] fault,
    output reg done, output reg [1:0] response,
    output [0:0] m_axi_awid, output [31:0] m_axi_awaddr, output [7:0] m_axi_awlen, output [2:0] m_axi_awsize,
    output [1:0] m_axi_awburst, output reg m_axi_awvalid, input m_axi_awready,
    output [63:0] m_axi_wdata, output [7:0] m_axi_wstrb, output m_axi_wlast, output m_axi_wvalid, input m_axi_wready,
    input [0:0] m_axi_bid, input [1:0] m_axi_bresp, input m_axi_bvalid, output m_axi_bready,
    output [0:0] m_axi_arid, output [31:0] m_axi_araddr, output [7:0] m_axi_arlen, output [2:0] m_axi_arsize,
    output [1:0] m_axi_arburst, output reg m_axi_arvalid, input m_axi_arready,
    input [0:0] m_axi_rid, input [63:0] m_axi_rdata, input [1:0] m_axi_rresp, input m_axi_rlast, input m_axi_rvalid,
    output m_axi_rready
);
    localparam NARROW = 1, FIXED = 2, UNALIGNED = 3, LAST = 4;
    reg [63:0] words [0:15];
    reg [3:0] got, given;
    reg reading, writing;
    assign m_axi_awid = 0, m_axi_arid = 1;
    assign m_axi_araddr = source + (fault == UNALIGNED ? 4 : 0), m_axi_awaddr = target;
    assign m_axi_arlen = {4'd0, length}, m_axi_awlen = {4'd0, length};
    assign m_axi_arsize = fault == NARROW ? 2 : 3, m_axi_awsize = 3;
    assign m_axi_arburst = 1, m_axi_awburst = fault == FIXED ? 0 : 1;
    assign m_axi_rready = reading;
    assign m_axi_wdata = words[given], m_axi_wstrb = given == 1 ? 8'h0f : 8'hff;
    assign m_axi_wlast = fault == LAST ? given == 0 : given == length;
    assign m_axi_wvalid = writing;
    assign m_axi_bready = 1;
    always @(posedge clk) begin
        if (m_axi_arready) m_axi_arvalid <= 0;
        if (m_axi_awready) m_axi_awvalid <= 0;
        if (start) begin
            m_axi_arvalid <= 1; reading <= 1; got <= 0; given <= 0; done <= 0; response <= 0;
        end
        if (m_axi_rvalid && m_axi_rready) begin
            words[got] <= m_axi_rdata;
            got <= got + 1;
            response <= response | m_axi_rresp;
            if (m_axi_rlast) begin
                reading <= 0; writing <= 1; m_axi_awvalid <= 1;
            end
        end
        if (m_axi_wvalid && m_axi_wready) begin
            given <= given + 1;
            if (given == length) writing <= 0;
        end
        if (m_axi_bvalid) begin
            response <= response | m_axi_bresp;
            done <= 1;
        end
        if (rst) begin
            m_axi_arvalid <= 0; m_axi_awvalid <= 0; reading <= 0; writing <= 0; done <= 0; response <= 0;
        end
    end
endmodule
