/* Runs a program: places its values, cuts its steps into units, calls the kernels. */
#include "core/check.h"

static zq_kernel_kind kind_of(const zq_program *program, const zq_step *step)
{
    const zq_op_entry *op = zq_ops[step->op];
    return op->choose_kind ? op->choose_kind(program, step) : op->kind;
}

static const zq_kernel_entry *kernel_of(const zq_kernels *kernels, const zq_program *program, const zq_step *step)
{
    const zq_kernel_kind kind = kind_of(program, step);
    return kernels->entries[kind].run ? &kernels->entries[kind] : zq_portable[kind];
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + 63) & ~(uint64_t)63;
}

static int32_t frames_of(const zq_value *value, int32_t T)
{
    const int64_t frames = (T + value->offset) / value->stride;
    return value->length == ZQ_LENGTH_ONCE ? 1 : (int32_t)(value->length == ZQ_LENGTH_FRAMES ? frames : 2 * frames - 1);
}

/* Numbers from one row to the next. In the arena of a large processor rows start at multiples of 64 bytes: no vector
 * crosses a line of the cache. */
static int32_t pitch_of(const zq_value *value, int32_t T)
{
    const int32_t frames = frames_of(value, T), line = 64 / (int32_t)zq_size(value->storage);
    if (value->place < 0 || ZQ_TILE < 64 || frames == 1) return frames;
    return zq_ceil_div(frames, line) * line;
}

static uint64_t value_bytes(const zq_value *value, int32_t T)
{
    return aligned((uint64_t)value->channels * (uint64_t)pitch_of(value, T) * zq_size(value->storage));
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

/* What an op asks of the length of its input beside that of its result (SPEC 9). */
static int is_step_possible(const zq_program *program, const zq_step *step, int32_t T)
{
    const zq_op_entry *op = zq_ops[step->op];
    return !op->max_frames || frames_of(&program->values[step->x[0]], T) <= op->max_frames(step);
}

static int is_length_possible(const zq_program *program, int32_t T)
{
    if (T < 1 || T > ZQ_MAX_FRAMES) return 0;
    for (int32_t v = 0; v < program->values_count; v++) {
        const zq_value *value = &program->values[v];
        const int64_t frames = (T + value->offset) / value->stride;
        if (T + value->offset < value->stride) return 0;
        if ((value->length == ZQ_LENGTH_POSITIONS ? 2 * frames - 1 : frames) > INT32_MAX / value->channels) return 0;
    }
    for (int32_t s = 0; s < program->steps_count; s++)
        if (!is_step_possible(program, &program->steps[s], T)) return 0;
    return 1;
}

/* The arena starts with the tables of zq_state; 64 more bytes let it start anywhere. */
static uint64_t tables_bytes(const zq_program *program)
{
    return 64 + aligned((uint64_t)program->values_count * (sizeof(void *) + 2 * sizeof(int32_t) + sizeof(uint8_t)));
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
    zq_scratch_size *const portable = zq_portable[kind_of(program, step)]->scratch_bytes;
    zq_scratch_size *const own = kernel_of(kernels, program, step)->scratch_bytes;
    const uint64_t least = portable ? portable(program, step, frames) : 0;
    const uint64_t special = own ? own(program, step, frames) : 0;
    return special > least ? special : least;
}

uint64_t zq_scratch_bytes(const zq_program *program, const zq_kernels *kernels, int32_t T)
{
    uint64_t most = 64;
    if (!is_length_possible(program, T)) return 0;
    for (int32_t s = 0; s < program->steps_count; s++) {
        const zq_step *step = &program->steps[s];
        const uint64_t bytes = step_scratch_bytes(program, kernels, step, frames_of(&program->values[step->y], T));
        if (bytes > most) most = bytes;
    }
    return 64 + aligned(most);
}

uint64_t zq_packed_bytes(const zq_program *program, const zq_kernels *kernels, int32_t step)
{
    const zq_kernel_entry *kernel = kernel_of(kernels, program, &program->steps[step]);
    return kernel->packed_bytes ? kernel->packed_bytes(program, &program->steps[step]) : 0;
}

void zq_pack(const zq_program *program, const zq_kernels *kernels, int32_t step, void *packed)
{
    kernel_of(kernels, program, &program->steps[step])->pack(program, &program->steps[step], packed);
}

static char *align_pointer(void *pointer)
{
    return (char *)pointer + (-(uintptr_t)pointer & 63);
}

/* Position 0 is in the middle of 2 * frames - 1 columns, of many as of few. */
static void place_known(zq_state *state, const zq_known *known)
{
    for (int32_t v = 0; v < state->program->values_count; v++) {
        const zq_value *value = &state->program->values[v];
        if (!known->data[v]) continue;
        const int32_t skipped = (frames_of(value, known->frames) - state->frames[v]) / 2;
        state->data[v] = (char *)known->data[v] + (size_t)skipped * zq_size(value->storage);
        state->pitch[v] = known->pitch[v];
    }
}

/* Columns take the room of rows that start at lines. */
static int have_columns_room(const zq_state *state, int32_t v)
{
    const zq_value *value = &state->program->values[v];
    return value->place >= 0 && value->length == ZQ_LENGTH_FRAMES && value->channels % 4 == 0 &&
           state->pitch[v] % 64 == 0;
}

static int ask(zq_column_user *user, const zq_program *program, const zq_step *step)
{
    return user ? user(program, step) : 0;
}

/* The steps that read a value are asked first, who makes it only where they want it. */
static void choose_columns(const zq_kernels *kernels, zq_state *state)
{
    const zq_program *program = state->program;
    const zq_step *const steps = program->steps;
    uint8_t *in = state->in_columns;
    memset(in, 0, (size_t)program->values_count);
    for (int32_t s = 0; s < program->steps_count; s++) in[steps[s].y] = (uint8_t)have_columns_room(state, steps[s].y);
    for (int32_t s = 0; s < program->steps_count; s++) {
        const int use = ask(kernel_of(kernels, program, &steps[s])->reads_columns, program, &steps[s]);
        for (int32_t i = 0; i < steps[s].inputs; i++)
            if (use == 0 || (use > 1 && in[steps[s].x[i]])) in[steps[s].x[i]] = (uint8_t)use;
    }
    for (int32_t s = 0; s < program->steps_count; s++)
        in[steps[s].y] =
            in[steps[s].y] > 1 && ask(kernel_of(kernels, program, &steps[s])->writes_columns, program, &steps[s]);
}

zq_status zq_prepare(const zq_program *program, const zq_kernels *kernels, const zq_known *known, int32_t T,
                     const void *input, void *const *outputs, void *arena, zq_state *state)
{
    char *free_bytes = align_pointer(arena);
    if (!is_length_possible(program, T)) return ZQ_BAD_LENGTH;
    state->program = program;
    state->known = known;
    state->data = (void **)free_bytes;
    state->frames = (int32_t *)(state->data + program->values_count);
    state->pitch = state->frames + program->values_count;
    state->in_columns = (uint8_t *)(state->pitch + program->values_count);
    free_bytes += tables_bytes(program) - 64;
    for (int32_t v = 0; v < program->values_count; v++) {
        const int32_t place = program->values[v].place;
        state->frames[v] = frames_of(&program->values[v], T);
        state->pitch[v] = pitch_of(&program->values[v], T);
        if (place < 0) state->data[v] = place == ZQ_INPUT ? (void *)(uintptr_t)input : outputs[ZQ_OUTPUT(place)];
    }
    for (int32_t slot = 0; slot < program->slots_count; slot++) {
        for (int32_t v = 0; v < program->values_count; v++)
            if (program->values[v].place == slot) state->data[v] = free_bytes;
        free_bytes += slot_bytes(program, slot, T);
    }
    choose_columns(kernels, state);
    if (known) place_known(state, known);
    return ZQ_OK;
}

int32_t zq_count_tiles(const zq_state *state, const zq_step *step)
{
    return zq_ceil_div(state->frames[step->y], ZQ_TILE);
}

int32_t zq_units(const zq_kernels *kernels, const zq_state *state, int32_t index)
{
    const zq_step *step = &state->program->steps[index];
    const zq_kernel_entry *kernel = kernel_of(kernels, state->program, step);
    const zq_kernel_entry *portable = zq_portable[kind_of(state->program, step)];
    if (state->known && state->known->data[step->y]) return 0;
    const int32_t units = kernel->units ? kernel->units(state, step) : 0;
    if (units > 0) return units;
    return portable->units ? portable->units(state, step) : state->program->values[step->y].channels;
}

void zq_run_units(const zq_kernels *kernels, const zq_state *state, int32_t index, int32_t first, int32_t last,
                  void *scratch)
{
    const zq_step *step = &state->program->steps[index];
    kernel_of(kernels, state->program, step)->run(state, step, first, last, align_pointer(scratch));
}

zq_status zq_run_known(const zq_program *program, const zq_kernels *kernels, const zq_known *known, int32_t T,
                       const void *input, void *const *outputs, void *arena, uint64_t arena_bytes)
{
    zq_state state;
    const uint64_t values = zq_values_bytes(program, T);
    if (!values) return ZQ_BAD_LENGTH;
    if (arena_bytes < values + zq_scratch_bytes(program, kernels, T)) return ZQ_SMALL_ARENA;
    zq_status status = zq_prepare(program, kernels, known, T, input, outputs, arena, &state);
    for (int32_t step = 0; status == ZQ_OK && step < program->steps_count; step++)
        zq_run_units(kernels, &state, step, 0, zq_units(kernels, &state, step), (char *)arena + values);
    return status;
}

zq_status zq_run(const zq_program *program, const zq_kernels *kernels, int32_t T, const void *input,
                 void *const *outputs, void *arena, uint64_t arena_bytes)
{
    return zq_run_known(program, kernels, NULL, T, input, outputs, arena, arena_bytes);
}
