// A lane of an INT8 dot product: the product of two signed bytes on top of the sum that came from the lane before.
module dot_lane_int8 (
    input signed [7:0] a,
    input signed [7:0] b,
    input signed [19:0] sum_in,
    output signed [19:0] sum_out
);
  assign sum_out = sum_in + a * b;
endmodule
