/* Runs a program: places its values, cuts its steps into units, calls the kernels. */
#include "kernels.h"

#define MAX_FRAMES (1 << 20)

uint64_t zq_depthwise_scratch(const zq_step *step, int32_t frames_y); /* conv1d_depthwise.c */

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 63) & ~(uint64_t)63;
}

static int32_t frames_of(const zq_value *value, int32_t T)
{
    return (int32_t)((T + value->offset) / value->stride);
}

static uint64_t value_bytes(const zq_value *value, int32_t T)
{
    return aligned((uint64_t)value->channels * (uint64_t)frames_of(value, T) * (value->storage == ZQ_INT32 ? 4 : 1));
}

static uint64_t slot_bytes(const zq_program *program, int32_t slot, int32_t T)
{
    uint64_t most = 0;
    for (int32_t v = 0; v < program->values_count; v++) {
        const zq_value *value = &program->values[v];
        if (value->place == slot && value_bytes(value, T) > most) most = value_bytes(value, T);
    }
    return most;
}

static int is_length_possible(const zq_program *program, int32_t T)
{
    if (T < 1 || T > MAX_FRAMES) return 0;
    for (int32_t v = 0; v < program->values_count; v++) {
        const zq_value *value = &program->values[v];
        if (T + value->offset < value->stride) return 0;
        if ((T + value->offset) / value->stride > INT32_MAX / value->channels) return 0;
    }
    return 1;
}

/* The arena starts with the tables of zq_state; 64 more bytes let it start anywhere. */
static uint64_t tables_bytes(const zq_program *program)
{
    return 64 + aligned((uint64_t)program->values_count * (sizeof(void *) + sizeof(int32_t)));
}

uint64_t zq_values_bytes(const zq_program *program, int32_t T)
{
    uint64_t bytes = tables_bytes(program);
    if (!is_length_possible(program, T)) return 0;
    for (int32_t slot = 0; slot < program->slots_count; slot++) bytes += slot_bytes(program, slot, T);
    return bytes;
}

static uint64_t step_scratch_bytes(const zq_program *program, const zq_kernels *kernels, const zq_step *step,
                                   int32_t frames)
{
    const uint64_t width = (uint64_t)(program->values[step->x[0]].channels / step->groups);
    const uint64_t portable = zq_is_depthwise(program, step) ? zq_depthwise_scratch(step, frames)
                                                             : width * (uint64_t)step->kernel * ZQ_TILE * 2;
    const uint64_t special = kernels->scratch_bytes ? kernels->scratch_bytes(program, step, frames) : 0;
    return special > portable ? special : portable;
}

uint64_t zq_scratch_bytes(const zq_program *program, const zq_kernels *kernels, int32_t T)
{
    uint64_t most = 64;
    if (!is_length_possible(program, T)) return 0;
    for (int32_t s = 0; s < program->steps_count; s++) {
        const zq_step *step = &program->steps[s];
        if (step->op != ZQ_CONV1D) continue;
        uint64_t bytes = step_scratch_bytes(program, kernels, step, frames_of(&program->values[step->y], T));
        if (bytes > most) most = bytes;
    }
    return 64 + aligned(most);
}

uint64_t zq_packed_bytes(const zq_program *program, const zq_kernels *kernels, int32_t step)
{
    const int is_convolution = program->steps[step].op == ZQ_CONV1D;
    return is_convolution && kernels->packed_bytes ? kernels->packed_bytes(program, &program->steps[step]) : 0;
}

void zq_pack(const zq_program *program, const zq_kernels *kernels, int32_t step, void *packed)
{
    kernels->pack(program, &program->steps[step], packed);
}

static char *align_pointer(void *pointer)
{
    return (char *)pointer + (-(uintptr_t)pointer & 63);
}

zq_status zq_prepare(const zq_program *program, int32_t T, const void *input, void *const *outputs, void *arena,
                     zq_state *state)
{
    char *free_bytes = align_pointer(arena);
    if (!is_length_possible(program, T)) return ZQ_BAD_LENGTH;
    state->program = program;
    state->data = (void **)free_bytes;
    state->frames = (int32_t *)(state->data + program->values_count);
    free_bytes += tables_bytes(program) - 64;
    for (int32_t v = 0; v < program->values_count; v++) {
        const int32_t place = program->values[v].place;
        state->frames[v] = frames_of(&program->values[v], T);
        if (place < 0) state->data[v] = place == ZQ_INPUT ? (void *)(uintptr_t)input : outputs[ZQ_OUTPUT(place)];
    }
    for (int32_t slot = 0; slot < program->slots_count; slot++) {
        for (int32_t v = 0; v < program->values_count; v++)
            if (program->values[v].place == slot) state->data[v] = free_bytes;
        free_bytes += slot_bytes(program, slot, T);
    }
    return ZQ_OK;
}

int32_t zq_units(const zq_state *state, int32_t index)
{
    const zq_step *step = &state->program->steps[index];
    const int32_t tiles = zq_ceil_div(state->frames[step->y], ZQ_TILE);
    const int32_t channels = state->program->values[step->y].channels;
    if (step->op == ZQ_SUM) return channels;
    if (step->op == ZQ_ARGMAX) return tiles;
    if (zq_is_depthwise(state->program, step)) return channels;
    return tiles * step->groups * zq_ceil_div(channels / step->groups, ZQ_CHUNK);
}

void zq_run_units(const zq_kernels *kernels, const zq_state *state, int32_t index, int32_t first, int32_t last,
                  void *scratch)
{
    const zq_step *step = &state->program->steps[index];
    scratch = align_pointer(scratch);
    if (step->op == ZQ_SUM)
        kernels->sum(state, step, first, last, scratch);
    else if (step->op == ZQ_ARGMAX)
        kernels->argmax(state, step, first, last, scratch);
    else if (zq_is_depthwise(state->program, step))
        kernels->conv1d_depthwise(state, step, first, last, scratch);
    else
        kernels->conv1d_dense(state, step, first, last, scratch);
}

zq_status zq_run(const zq_program *program, const zq_kernels *kernels, int32_t T, const void *input,
                 void *const *outputs, void *arena, uint64_t arena_bytes)
{
    zq_state state;
    const uint64_t values = zq_values_bytes(program, T);
    if (!values) return ZQ_BAD_LENGTH;
    if (arena_bytes < values + zq_scratch_bytes(program, kernels, T)) return ZQ_SMALL_ARENA;
    zq_status status = zq_prepare(program, T, input, outputs, arena, &state);
    for (int32_t step = 0; status == ZQ_OK && step < program->steps_count; step++)
        zq_run_units(kernels, &state, step, 0, zq_units(&state, step), (char *)arena + values);
    return status;
}
