// Signed 8 x 8 multiplier whose five lowest columns are joined by OR instead of being added, no carry leaving them.
// A Baugh-Wooley array: partial products of one sign bit enter inverted, two constants correct the sum.
module approximate (input [7:0] A, input [7:0] B, output [15:0] O);
  wire [7:0] r0 = {~(A[7] & B[0]), A[6:0] & {7{B[0]}}};
  wire [7:0] r1 = {~(A[7] & B[1]), A[6:0] & {7{B[1]}}};
  wire [7:0] r2 = {~(A[7] & B[2]), A[6:0] & {7{B[2]}}};
  wire [7:0] r3 = {~(A[7] & B[3]), A[6:0] & {7{B[3]}}};
  wire [7:0] r4 = {~(A[7] & B[4]), A[6:0] & {7{B[4]}}};
  wire [7:0] r5 = {~(A[7] & B[5]), A[6:0] & {7{B[5]}}};
  wire [7:0] r6 = {~(A[7] & B[6]), A[6:0] & {7{B[6]}}};
  wire [7:0] r7 = {A[7] & B[7], ~(A[6:0] & {7{B[7]}})};
  wire [4:0] low = {
    r0[4] | r1[3] | r2[2] | r3[1] | r4[0], r0[3] | r1[2] | r2[1] | r3[0], r0[2] | r1[1] | r2[0], r0[1] | r1[0], r0[0]
  };
  wire [10:0] high = r0[7:5] + r1[7:4] + r2[7:3] + r3[7:2] + r4[7:1] + r5 + {r6, 1'b0} + {r7, 2'b00} + 11'd1032;
  assign O = {high, low};
endmodule
