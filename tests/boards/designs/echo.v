// Answers every byte with the byte XOR 0x20. 0x01 stops the simulation, the answer to 0x02 lacks its stop bit, and the one to
// 0x03 is repeated for ever.
module niello_echo #(
    parameter CYCLES_PER_BIT = 25
) (
    input clk, input rst,
    input uart_rx, output uart_tx,
    output reg [7:0] activity, input [3:0] buttons
);
    reg [1:0] line;
    reg [15:0] wait_in, wait_out;
    reg [3:0] bit_in, bit_out;
    reg [7:0] byte_in;
    reg [9:0] frame_out;
    reg receiving, sending, valid, endless;
    reg [7:0] queue [0:4095];
    reg [11:0] write_at, read_at;
    assign uart_tx = sending ? frame_out[0] : 1'b1;
    always @(posedge clk) begin
        line <= {line[0], uart_rx};
        valid <= 0;
        if (!receiving) begin
            if (!line[1]) begin
                receiving <= 1;
                wait_in <= CYCLES_PER_BIT + CYCLES_PER_BIT / 2 - 1;
                bit_in <= 0;
            end
        end else if (wait_in != 0) wait_in <= wait_in - 1;
        else begin
            wait_in <= CYCLES_PER_BIT - 1;
            bit_in <= bit_in + 1;
            if (bit_in == 8) begin
                receiving <= 0;
                valid <= line[1];
            end else byte_in <= {line[1], byte_in[7:1]};
        end
        if (valid) begin
            if (byte_in == 8'h01) $stop;
            if (byte_in == 8'h03) endless <= 1;
            queue[write_at] <= byte_in ^ 8'h20;
            write_at <= write_at + 1;
            activity <= activity + 1;
        end
        if (!sending) begin
            if (write_at != read_at) begin
                sending <= 1;
                frame_out <= {queue[read_at] != 8'h22, queue[read_at], 1'b0};
                if (!endless) read_at <= read_at + 1;
                wait_out <= CYCLES_PER_BIT - 1;
                bit_out <= 0;
            end
        end else if (wait_out != 0) wait_out <= wait_out - 1;
        else begin
            wait_out <= CYCLES_PER_BIT - 1;
            frame_out <= {1'b1, frame_out[9:1]};
            bit_out <= bit_out + 1;
            if (bit_out == 9) sending <= 0;
        end
        if (rst) begin
            line <= 3; receiving <= 0; sending <= 0; valid <= 0; write_at <= 0; read_at <= 0; activity <= 0; endless <= 0;
        end
    end
endmodule
