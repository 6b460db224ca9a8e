/* The integer executor: programs as plain structs, one call to run one. SPEC.md is normative; section numbers refer
 * to it.
 *
 * core/ and ops/ need <stdint.h> and <string.h>, allocate nothing, keep no state, and compile for a processor without a
 * floating-point unit. A program is made once (in Python or as constant tables) and never written to. */
#ifndef ZQ_H
#define ZQ_H

#include "core/op_table.h" /* op codes, parameter structs, storages, lengths */

typedef enum { ZQ_OK = 0, ZQ_BAD_PROGRAM, ZQ_BAD_LENGTH, ZQ_SMALL_ARENA, ZQ_NO_MEMORY } zq_status;
/* One value [channels][length], L = (T + offset) / stride for an input of T frames (SPEC 3). length: L for
 * ZQ_LENGTH_FRAMES, 2L - 1 for ZQ_LENGTH_POSITIONS, 1 for ZQ_LENGTH_ONCE. */
typedef struct {
    int64_t offset, stride;
    int32_t channels, storage;
    int32_t place;  /* >= 0: slot of the arena; ZQ_INPUT; ZQ_OUTPUT(i): the caller's i-th output */
    int32_t length; /* zq_length */
} zq_value;

#define ZQ_INPUT (-1)
#define ZQ_OUTPUT(i) (-2 - (i))

/* One step (SPEC 4): what all ops share, and the parameters of its op.
 *
 * multiplier and shift requantize the accumulator to y, [C] each for C channels of y; but
 *   conv1d, conv2d  [maps of y]; NULL: y is the raw accumulator
 *   sum             multiplier [inputs][C], shift [C]
 *   activation      [inputs][C] each: they requantize the operands
 *   argmax, multiply, lookup, positions  NULL */
typedef struct {
    const int32_t *x; /* [inputs] indices of values */
    const int32_t *multiplier;
    const int8_t *shift;
    const void *packed; /* what zq_pack made for the kernels in use, or NULL */
    int32_t op, y, inputs;
    int32_t clip_lo, clip_hi;
    zq_op_params params;
} zq_step;

typedef struct {
    const zq_value *values;
    const zq_step *steps;
    int32_t values_count, steps_count, slots_count, outputs_count;
} zq_program;

/* Values that depend on nothing but the length of the input (relative positions and their projections), computed for
 * one length. Those of a shorter input are the middle of them. Steps that make a cached value are skipped. */
typedef struct {
    void **data;    /* [values_count]; NULL: not cached */
    int32_t *pitch; /* [values_count] */
    int32_t frames; /* of the input */
} zq_length_cache;

/* One utterance while it runs: where each value is, how long it is, and how far apart its rows are.
 *
 * A value is in the packed K4 layout where the kernels of all steps that make and read it support that, and one of them
 * is faster so: bytes [tiles of 64 frames][channels / 4][64 frames][4 channels]. */
typedef struct {
    const zq_program *program;
    const zq_length_cache *cache; /* or NULL */
    void **data;                  /* [values_count] */
    int32_t *frames;              /* [values_count] */
    int32_t *pitch;               /* [values_count] numbers from one row to the next */
    uint8_t *is_packed_k4;        /* [values_count] */
} zq_state;

typedef struct zq_kernels zq_kernels; /* kernels.h */

/* Raise this number when a struct or a call here or in host/scheduler.h changes. zq_interface() joins it with the
 * digest of op_table.h; a library that was built from other sources returns another number. */
#define ZQ_INTERFACE 5
int32_t zq_interface(void);

/* ZQ_OK when every index, size and length fits; *step is then steps_count, else the step at fault (or -1: a
 * value). */
zq_status zq_check(const zq_program *program, int32_t *step);

/* Weights in the packed layout that `kernels` read, and tables of functions, made once for each step: how many bytes
 * that takes (0: the step needs none), and the packing itself. A packed step runs with these kernels, which no longer
 * read `weight` (it may be released), or with the portable ones, which do. A step that is not packed runs with any. */
uint64_t zq_packed_bytes(const zq_program *program, const zq_kernels *kernels, int32_t step);
void zq_pack(const zq_program *program, const zq_kernels *kernels, int32_t step, void *packed);

/* Bytes that an utterance of T frames needs: its values, and the scratch of one worker. 0 when T is too short or
 * too long. */
uint64_t zq_values_bytes(const zq_program *program, int32_t T);
uint64_t zq_scratch_bytes(const zq_program *program, const zq_kernels *kernels, int32_t T);

/* Place the values of an utterance in `arena` (at least zq_values_bytes), for `kernels` to run all its steps. cache: of
 * at least T frames, or NULL. */
zq_status zq_prepare(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache, int32_t T,
                     const void *input, void *const *outputs, void *arena, zq_state *state);

/* A step is divided into units that may run in any order, on any worker, each once. None, where y is cached. */
int32_t zq_units(const zq_kernels *kernels, const zq_state *state, int32_t step);
void zq_run_units(const zq_kernels *kernels, const zq_state *state, int32_t step, int32_t first, int32_t last,
                  void *scratch);

/* The whole program on one utterance, on the caller's thread. arena: zq_values_bytes + zq_scratch_bytes. */
zq_status zq_run(const zq_program *program, const zq_kernels *kernels, int32_t T, const void *input,
                 void *const *outputs, void *arena, uint64_t arena_bytes);
zq_status zq_run_cached(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache, int32_t T,
                        const void *input, void *const *outputs, void *arena, uint64_t arena_bytes);

#endif
