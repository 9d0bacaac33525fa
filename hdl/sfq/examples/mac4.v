// Multiply and accumulate, 4 bits unsigned: acc takes acc + a * b a wave, or 0 with clear. The sum is a loop.
module mac4 (
    input clk,
    input clear,
    input [3:0] a,
    input [3:0] b,
    output reg [11:0] acc
);
  always @(posedge clk) acc <= clear ? 12'd0 : acc + a * b;
endmodule
