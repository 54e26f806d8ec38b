// What host code (C) and kernels (OpenCL C) both know: the operations of a step as descriptors in device memory, and
// the batch. Included by both, so it holds nothing but 32-bit and 64-bit fields, each aligned to its size.
//
// Places in memory: activations, vectors, counters and the step are one buffer each, and a place in one is a number of
// 32-bit values from its start. What may be larger than one allocation (weights, cache, states) lies in heaps: it is an
// array of equal units (a row of weights, a page, a slot), cut into pieces of `piece` units, whose places stand one
// after the other in a table.
#ifndef XN_OPENCL_SHARED_H
#define XN_OPENCL_SHARED_H

#ifdef __OPENCL_C_VERSION__
typedef uint xn_u32;
typedef ulong xn_u64;
#else
#include <stdint.h>
typedef uint32_t xn_u32;
typedef uint64_t xn_u64;
#endif

#define XN_CL_HEAPS 16            // the most allocations that weights, caches and states are spread over
#define XN_CL_NONE 0xffffffffu    // no such vector, buffer or list
#define XN_CL_SLACK 1024          // bytes behind what lies in memory that kernels may read (and leave unused)
#define XN_CL_UNIT 32             // weights that a decoder takes at once: rows are padded to a multiple with zeros
#define XN_CL_STREAM_TOKENS 8     // rows of the batch up to which products stream weights; beyond, they tile
#define XN_CL_TILE_TOKENS 32      // rows of the batch of a tile
#define XN_CL_WARP_ROWS 2         // rows of weights that the lanes of a warp stream together
#define XN_CL_MAX_EXPERTS 1024    // of a layer
#define XN_CL_SPLIT_ROWS 8        // rows of the batch up to which attention splits the context
#define XN_CL_SPLITS 64           // the most parts of a context,
#define XN_CL_SPLIT_UNITS 512     // and of all key-value heads of a row together
#define XN_CL_SPLIT_POSITIONS 256 // the fewest positions of a part
#define XN_CL_PLANES_MOST 5       // planes of weights
#define XN_CL_GROUP 64            // work-items of a group
#define XN_CL_SCRATCH 7424        // 32-bit values of local memory that an operation gets
#define XN_CL_TOGETHER 8          // the most query heads that a group of attention takes at once,
#define XN_CL_HEAD_FLOATS 6144    // and the most values of queries and results that they may have together
#define XN_CL_MAX_KEY 3072        // values of a delta net's key
#define XN_CL_MAX_TAPS 64         // of a convolution
#define XN_CL_WALK_GROUP 512      // work-items of a group of a walk
#define XN_CL_SLICE_ROWS 320      // rows of weights of a slice, for one row of the batch,
#define XN_CL_SLICE_CUTS 12       // parts of long rows' units at the most (struct xn_cl_slice's cuts)
#define XN_CL_SLICE_ROWS_FEW 64   // and for a few; of `project` for one:
#define XN_CL_SLICE_RESULTS 128
#define XN_CL_STREAM_FLOATS_ONE 8128 // floats of local memory for a token's activations, of one row of the batch,
#define XN_CL_STREAM_FLOATS_FEW 1232 // and of a few
#define XN_CL_SLICE_SEGMENTS 4
#define XN_CL_SLICE_PIECES 8
#define XN_CL_SLICE_RANGES 12
#define XN_CL_SLICE_AHEAD 32768 // bytes of a slice that are asked for before they are read

// Where a piece lies.
struct xn_cl_place {
    xn_u64 offset; // bytes into the heap
    xn_u32 heap, unused;
};

// A stack of matrices, packed (opencl/layout.h): row r of matrix i is row i * rows + r of all. A piece of n rows is
// decoded as one row of n * units units.
struct xn_cl_weights {
    xn_u32 type; // enum xn_type
    xn_u32 rows, all_rows, units;
    xn_u32 place, piece;
    struct xn_cl_place first;        // of the places
    xn_u32 plane[XN_CL_PLANES_MOST]; // bytes that a row takes of each plane
    xn_u32 unused;
};

// An enum xn_norm_kind and its numbers; weight and bias are places of vectors.
struct xn_cl_norm {
    xn_u32 kind;
    float epsilon;
    xn_u32 weight, bias;
};

// The first `k` values of rows of activations, normalised.
struct xn_cl_input {
    xn_u32 at, stride, k;
    struct xn_cl_norm norm;
};

struct xn_cl_rope {
    xn_u32 kind, dims;
    xn_u32 frequency, long_frequency; // vectors; the second stands in beyond `original` positions (NONE: never)
    xn_u32 original;
    xn_u32 dynamic; // which of the step's tables of frequencies; NONE: none
    float magnitude, query_beta;
    xn_u32 query_period;
    xn_u32 turn; // which of the step's rotations
};

// Keys or values of a cache layer: page p is unit p; of a page, position i of head g begins at value
// (g * page_size + i) * size. In blocks of 32 values (Q8_0, Q4_0) codes stand apart from scales, so that lanes load 16
// bytes: of head g of a page there are first the codes of its positions, then their float16 scales. Codes are bytes, or
// words of eight values: value 2j is bits 4j ... 4j + 3 of the word, value 2j + 1 those 16 bits on.
struct xn_cl_cache {
    xn_u32 place, piece, page_bytes, size;
    struct xn_cl_place first; // of the places
};

// A state layer: slot s is unit s: conv_floats, then the recurrent state.
struct xn_cl_states {
    xn_u32 place, piece, slot_floats, conv_floats;
    struct xn_cl_place first; // of the places
};

// struct xn_sum; `to` is a place in the activations.
struct xn_cl_sum {
    xn_u32 to, stride, set;
    float scale, after;
    struct xn_cl_norm norm;
};

struct xn_cl_glu {
    xn_u32 activation;
    float gate_scale, limit, up_offset;
};

struct xn_cl_embed {
    struct xn_cl_weights table;
    xn_u32 to, stride, width;
    float scale, keep;
};

// Row r of a part's result begins at out + r * out_stride of the activations: in its buffer, or (where the part goes to
// the cache and is not finished by its product alone) in scratch.
#define XN_CL_TO_BUFFER 0u
#define XN_CL_TO_CACHE 1u
// What heads need once their values are there: nothing; as a whole (a norm, or a rotation that others may hold half
// of); rotation alone, of pairs of rows that a walk has together.
#define XN_CL_FINISH_NONE 0u
#define XN_CL_FINISH_HEADS 1u
#define XN_CL_FINISH_PAIRS 2u
struct xn_cl_part {
    struct xn_cl_weights weights;
    xn_u32 bias;
    float scale;
    xn_u32 heads, head_size, head_stride, rope_at;
    xn_u32 target, finish;
    xn_u32 norm_whole, is_query;
    xn_u32 out, out_stride;
    xn_u32 cache_at;
    struct xn_cl_norm norm;
    struct xn_cl_rope rope;
    struct xn_cl_cache cache;
};
#define XN_CL_MAX_PARTS 4
struct xn_cl_project {
    struct xn_cl_input in;
    xn_u32 n_parts;
    struct xn_cl_part part[XN_CL_MAX_PARTS];
};

// Rows of float32 heads to a cache in blocks.
struct xn_cl_store_part {
    xn_u32 in, in_stride, heads, head_size, head_stride, cache_at;
    struct xn_cl_cache cache;
};
struct xn_cl_store {
    xn_u32 n_parts;
    struct xn_cl_store_part part[XN_CL_MAX_PARTS];
};

struct xn_cl_project_add {
    struct xn_cl_input in;
    struct xn_cl_weights weights;
    xn_u32 bias, row_scale; // row_scale: a place of activations with one value a row
    xn_u32 row_scale_stride;
    xn_u32 scratch; // results that wait for the norm: rows * weights.rows
    struct xn_cl_sum sum;
};

struct xn_cl_add {
    xn_u32 in, stride, width;
    struct xn_cl_sum sum;
};

struct xn_cl_gate {
    struct xn_cl_input in;
    struct xn_cl_weights gate, up; // gate.rows 0: none
    xn_u32 gate_bias, up_bias;
    struct xn_cl_glu glu;
    xn_u32 out, out_stride;
    xn_u32 times, times_stride; // place of the first value of row 0; NONE: none
};

struct xn_cl_heads {
    xn_u32 in, in_stride, out, out_stride;
    xn_u32 heads, cols, tail;
    struct xn_cl_weights weights;
};

struct xn_cl_head {
    struct xn_cl_input in;
    struct xn_cl_weights weights;
    float scale, soft_cap;
    xn_u32 tops; // struct xn_cl_candidates; NONE: nobody asks for them
};

// How a walk cuts experts' results into slices: results of a full slice, slices of a token; products that a slice
// takes, of so many experts each. For one token alone, then for 1 to 8 of several.
struct xn_cl_expert_cut {
    xn_u32 all, blocks, passes, experts;
};
#define XN_CL_EXPERT_CUTS (1 + XN_CL_STREAM_TOKENS)

// The choice of a row's experts by their scores.
struct xn_cl_choice {
    xn_u32 selection_bias, expert_scale;
    xn_u32 sigmoid;
    xn_u32 experts, used, groups, groups_used, group_best, normalize;
    float sum_epsilon, scale;
    xn_u32 scratch;                    // scores: rows * experts
    xn_u32 ids, chosen_weights, width; // the step's routing: `width` a row
};

struct xn_cl_route {
    struct xn_cl_input in;
    struct xn_cl_weights router, shared; // shared.rows 0: none
    xn_u32 bias;
    struct xn_cl_choice choice;
    xn_u32 left;              // a walk leaves the choice to the operation behind this one
    xn_u32 gate, gate_stride; // of the shared expert
};

struct xn_cl_expert_gate {
    struct xn_cl_input in;
    struct xn_cl_weights gate, up; // gate.rows 0: none
    xn_u32 gate_bias, up_bias;
    struct xn_cl_glu glu;
    xn_u32 used, size;
    xn_u32 out, out_stride;
    xn_u32 ids, width;
    struct xn_cl_choice choice; // which a walk makes here; used 0: it is made
    struct xn_cl_expert_cut cut[XN_CL_EXPERT_CUTS];
};

struct xn_cl_expert_add {
    xn_u32 in, in_stride;
    struct xn_cl_weights down;
    xn_u32 bias;
    xn_u32 used, size;
    xn_u32 ids, chosen_weights, width;
    xn_u32 scratch;
    struct xn_cl_sum sum;
    struct xn_cl_expert_cut cut[XN_CL_EXPERT_CUTS];
};

struct xn_cl_attend {
    xn_u32 in, in_stride, out, out_stride;
    xn_u32 heads, kv_heads, head_size, value_size, head_stride;
    xn_u32 window, sinks, output_gate;
    float scale, soft_cap;
    xn_u32 together, chunks; // query heads that one group takes at once, and how often for a key-value head
    xn_u32 few;              // which of the sizes of XN_CL_FEW_SIZES, for kernels that have it; 0: none
    xn_u32 splits;           // the most parts of a context
    xn_u32 exact;            // queries and weights are rounded to no less than 22 bits (NVIDIA; else of few rows)
    struct xn_cl_cache keys, values;
    xn_u32 partial; // of split contexts: rows * heads * splits * (value_size + 2)
    xn_u32 queries; // heads of a key-value head
};

// Sizes of heads for which attention on matrix units is compiled: number, keys by 32 values, values by 64.
#define XN_CL_FEW_SIZES(X) X(1, 2, 1) X(2, 4, 2) X(3, 8, 4) X(4, 18, 8)
#define XN_CL_MANY_SIZES 3     // of them, those up to this number also for many rows
#define XN_CL_FEW_POSITIONS 16 // of which none may lie on different pages

// Causal depthwise convolution of rows that may first be multiplied (short_conv), then activated or multiplied.
struct xn_cl_convolve {
    xn_u32 in, in_stride, out, out_stride;
    xn_u32 channels, taps;
    xn_u32 conv, bias;
    xn_u32 gated; // in is b, c, x: out = c * conv(b * x); else out = silu(conv(in))
    struct xn_cl_states states;
};

struct xn_cl_delta_net {
    xn_u32 in, in_stride; // what the convolution gave: q, k, v
    xn_u32 z, z_stride, beta, beta_stride, alpha, alpha_stride, out, out_stride;
    xn_u32 key_heads, value_heads, key_size, value_size;
    xn_u32 decay_rate, dt_bias, heads_tiled;
    struct xn_cl_norm norm;
    struct xn_cl_states states;
};

struct xn_cl_state_space {
    xn_u32 in, in_stride; // what the convolution gave: x, B, C
    xn_u32 dt, dt_stride, out, out_stride;
    xn_u32 heads, head_size, groups, state_size;
    xn_u32 decay_rate, dt_bias, skip;
    float dt_min, dt_max;
    struct xn_cl_states states;
};

// The recurrence of delta nets and of state spaces (scan.cl), whose time steps, B, C and x are alphas, keys, queries
// and values here; the states of a group are a key head's.
#define XN_CL_SCAN_VALUES 32                    // of a column of the state that a work-item holds
#define XN_CL_SCAN_KEYS (8 * XN_CL_SCAN_VALUES) // the most keys
#define XN_CL_SCAN_FACTORS 8                    // values that a row and head needs beside
struct xn_cl_scan {
    xn_u32 in, in_stride;              // what the convolution gave; in a step of few rows, what it gets
    xn_u32 keys, queries, values;      // where they begin in it
    xn_u32 channels, taps, conv, bias; // of the convolution
    xn_u32 factors;                    // [rows][heads][XN_CL_SCAN_FACTORS], of many rows
    xn_u32 z, z_stride, alpha, alpha_stride, beta, beta_stride, out, out_stride;
    xn_u32 key_heads, heads, key_size, value_size, heads_tiled;
    xn_u32 parts; // work-items of a column: 4 or 8
    xn_u32 delta; // 0: a state space
    xn_u32 decay_rate, dt_bias, skip;
    float dt_min, dt_max;
    struct xn_cl_norm norm;
    // A row's norm has so many parts of norm_size values each, whose weights are the same where norm_shared.
    xn_u32 norm_parts, norm_size, norm_shared, norm_before_gate;
    // Keys, heads and parts are of `sets` that have nothing in common; of each, so many.
    xn_u32 sets, set_keys, set_heads, set_parts;
    struct xn_cl_states states;
};

// --- products of many rows (tile.cl): rows of activations are staged as a matrix unit takes them, then multiplied ---

// Planes of staged values, in this order those that are there: half floats, scaled by a power of two for each row; what
// they leave of the values, as half floats. A device without a matrix unit has one plane of float32 values instead,
// whatever is asked for.
#define XN_CL_PLANE_HALF 1u
#define XN_CL_PLANE_HALF_REST 2u

// Value i of part p of row r becomes value ((r * parts + p) * width + i) of each plane; those from k to width are zero.
struct xn_cl_stage {
    struct xn_cl_input in;         // k values of each part
    xn_u32 parts, part_stride;     // which begin so many values apart; a norm is that of one part
    xn_u32 outputs;                // the rows are those that want logits
    xn_u32 width;                  // a multiple of XN_CL_UNIT
    xn_u32 planes, to, plane_size; // 32-bit values of a plane of 16-bit values
    xn_u32 scales;                 // one a row: what products of scaled values are multiplied by
    // Values between the parts that pass by: `tail` behind each part, to value p * pass_stride of rows at pass_to.
    xn_u32 tail, pass_to, pass_stride, pass_row;
};

#define XN_CL_TILE_STORE 0u // y = scale * (W x + bias), times the row's own scale
#define XN_CL_TILE_SUM 1u   // joins a buffer
#define XN_CL_TILE_GLU 2u   // parts 0 and 1 are gate and up (or part 0 alone is up), of one size
#define XN_CL_TILE_LOGITS 3u
struct xn_cl_tile_part {
    struct xn_cl_weights weights;
    xn_u32 bias;
    float scale;
    float shrink;           // what weights are multiplied by to become half floats: a power of two
    xn_u32 out, out_stride; // rows of results in the activations
};
// Products of all staged rows with the parts' matrices, or, with experts, of each chosen expert's matrices with the
// rows that chose it: then row r's choice j is "pair" r * used + j, and results are those of pairs.
struct xn_cl_tile {
    xn_u32 kind, n_parts;
    struct xn_cl_tile_part part[XN_CL_MAX_PARTS];
    // 1; 2: also what 16 bits leave of activations, times the weights; 3: and of the weights, times the activations
    xn_u32 passes;
    xn_u32 outputs;
    xn_u32 width, planes, staged, plane_size, scales; // as struct xn_cl_stage has them
    // Matrix m of `matrices` of a stack multiplies part m of each row; its results are out_step values further.
    xn_u32 matrices, out_step;
    xn_u32 experts, used, pairs, offsets, by_pair; // by_pair: rows are staged for each pair, in parts
    struct xn_cl_glu glu;
    xn_u32 times, times_stride;
    xn_u32 row_scale, row_scale_stride;
    struct xn_cl_sum sum;
    float soft_cap;
    xn_u32 partial; // two tiles of float32 for each group
};

// The pairs of a batch by expert: those of expert i are [offsets[i], offsets[i + 1]) of the list, in their order.
struct xn_cl_sort {
    xn_u32 experts, used, ids, width;
    xn_u32 pairs, offsets;
};

// What pairs' results become: sum over a row's choices of weight times result, which joins a buffer.
struct xn_cl_join {
    xn_u32 in, rows, used;
    xn_u32 chosen_weights, width;
    xn_u32 scratch; // a row each, where a norm waits for it
    struct xn_cl_sum sum;
};

// Where the grids of the IQ formats begin in their buffer of 32-bit values, and how many values there are.
#define XN_CL_GRID_IQ2_XXS 0
#define XN_CL_GRID_IQ2_XS 512
#define XN_CL_GRID_IQ2_S 1536
#define XN_CL_GRID_IQ1 3584
#define XN_CL_GRID_IQ3_XXS 7680
#define XN_CL_GRID_IQ3_S 7936
#define XN_CL_GRID_VALUES 8448

// --- the best tokens of rows of logits (candidates.cl) ---

#define XN_CL_CANDIDATES 128 // of a row, at the most
// 32-bit values of a row of results: how many there are (NONE: all logits tell), three unused, id and logit of each.
#define XN_CL_CANDIDATES_ROW 260
#define XN_CL_TOP_RUN 32      // tokens of a run, whose highest logit is kept
#define XN_CL_TOP_PARTS 512   // parts that runs are dealt to, for a bound that enough tokens reach
#define XN_CL_TOP_RUNS 512    // runs,
#define XN_CL_TOP_TOKENS 2560 // and tokens, that may reach it
#define XN_CL_SUM_CHUNK 4096  // device/candidates.h
#define XN_CL_SUM_LANES 16
struct xn_cl_candidates {
    xn_u64 to, sums; // places behind the logits: rows of results; [output][chunk][lane]
    xn_u32 tokens;   // of a row of logits
    xn_u32 tops;     // place in the activations: the highest logit of each run, a row each
    // Runs begin anew with each slice of so many tokens: in a walk those of the head, for a few rows and for one; else
    // (the last) there is one slice. And how many runs that makes.
    xn_u32 slice[3], runs[3];
};

// --- what a group of a walk takes at once ---

// Slices of an operation whose rows of weights are known beforehand are cut by the host (slices.c), for each number of
// groups: slice u, of group u % groups, begins at 16-byte value `place` + u * stride behind the start of all
// descriptors.
struct xn_cl_slices {
    xn_u32 place, stride, n, unused;
};

// Rows [begin of the segment before, end) of a slice have one format.
struct xn_cl_segment {
    xn_u32 type, end;
};
// A piece of a matrix: `units` in all.
struct xn_cl_slice_piece {
    xn_u64 offset;
    xn_u32 heap, units;
};
// Bytes that are asked for before they are read.
struct xn_cl_slice_range {
    xn_u64 offset;
    xn_u32 heap, bytes;
};
// A row of weights begins at unit `first` of a piece; the rest says which, and in bits 8 and up which part of the
// activations it meets.
struct xn_cl_slice_row {
    xn_u32 first, piece;
};
// What becomes of a row's result, in `project`: its place without the token's part of it, in the activations or in a
// head of the cache; the first of two neighbours' rotation among those of a token.
#define XN_CL_RESULT_PART 0xffu     // which part of the operation
#define XN_CL_RESULT_CACHE 0x100u   // goes to the cache
#define XN_CL_RESULT_NOWHERE 0x200u // goes nowhere: a value between heads
#define XN_CL_RESULT_TEMPERED 0x400u
struct xn_cl_slice_result {
    xn_u32 to;
    float bias;
    xn_u32 rotation, part;
};
// The rows follow, then (16 bytes aligned) the results.
struct xn_cl_slice {
    xn_u32 first, results;       // results [first, first + results) of the operation, or of head `of`
    xn_u32 rows, units;          // of weights; of a row
    xn_u32 shares;               // a row is cut into so many, each of which has sums of its own
    xn_u32 segments, of, apart;  // apart: multiplies other activations than the slice before
    xn_u32 all, blocks;          // results of a full slice; slices of the operation (or of each head)
    xn_u32 ranges, range_bits;   // of which there are at most 1 << range_bits
    xn_u32 cut, cuts, unused[2]; // of so many parts of its rows' units it has this one; 0: all
    struct xn_cl_segment segment[XN_CL_SLICE_SEGMENTS];
    struct xn_cl_slice_piece piece[XN_CL_SLICE_PIECES];
    struct xn_cl_slice_range range[XN_CL_SLICE_RANGES];
    xn_u32 at, stride, k,
        outputs; // of the activations, as struct xn_cl_input has them; outputs: of rows that want logits
    struct xn_cl_norm norm;
};
#define XN_CL_SLICE_BYTES 448
#define XN_CL_SLICE_MOST 3520     // with its rows and results, of one row of the batch,
#define XN_CL_SLICE_MOST_FEW 1984 // and of a few

#define XN_CL_OP_BYTES 1024 // of a descriptor in the list, whatever its kind
// What the end of each descriptor's place says.
#define XN_CL_OP_TAIL 944
struct xn_cl_op_tail {
    xn_u32 number, unused[3];         // enum xn_cl_kernel
    struct xn_cl_slices own[2];       // for a few rows of the batch, and for one; n 0: there are none, or not cut here
    struct xn_cl_slices following[2]; // of the operation behind it
};

// A device-wide barrier, in the counters: how many groups have come to it, ever; and, 32 values on, whether one gave
// up.
#define XN_CL_BARRIER_VALUES 64
#define XN_CL_BARRIER_FAILED 32

// The batch: this header, and arrays at places (32-bit values) from its start.
struct xn_cl_step {
    xn_u32 n_rows, n_spans, n_outputs, page_size;
    xn_u32 tokens, positions, row_span, outputs; // [n_rows], [n_rows], [n_rows], [n_outputs]
    xn_u32 spans;                                // struct xn_cl_span [n_spans]
    xn_u32 frequencies, frequencies_stride;      // of dynamic ropes: [rope][span][stride] float32
    xn_u32 barrier;                              // place in the counters
    // Of few rows, [row][stride] float32: cosine and sine of each pair of each rope, times its magnitude.
    xn_u32 rotations, rotations_stride;
    xn_u32 sums, unused; // whether sums are wanted with the best tokens
};
struct xn_cl_span {
    xn_u32 first_row, n_rows, past, slot;
    xn_u32 pages; // place of its page numbers
    xn_u32 rope_length;
};

#endif
