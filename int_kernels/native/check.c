/* Looks at a program once, before it ever runs: every index and size that the kernels trust (SPEC 6, 9). The
 * proofs about ranges (SPEC 5) are made where programs are built. */
#include "kernels.h"

enum { MAX_CHANNELS = 1 << 16, MAX_EXTENT = 1 << 15, MAX_LENGTH = 1 << 24, MAX_COUNT = 1 << 20 };

static int within(int64_t number, int64_t lo, int64_t hi)
{
    return number >= lo && number <= hi;
}

static int is_value_sound(const zq_program *program, const zq_value *value)
{
    return within(value->channels, 1, MAX_CHANNELS) && within(value->storage, ZQ_INT8, ZQ_INT32) &&
           within(value->offset, -MAX_LENGTH, MAX_LENGTH) && within(value->stride, 1, MAX_LENGTH) &&
           within(value->place, ZQ_OUTPUT(program->outputs_count - 1), program->slots_count - 1);
}

/* The input, or what an earlier step makes. */
static int is_made_before(const zq_program *program, int32_t value, int32_t index)
{
    if (!within(value, 0, program->values_count - 1)) return 0;
    if (program->values[value].place == ZQ_INPUT) return 1;
    for (int32_t s = 0; s < index; s++)
        if (program->steps[s].y == value) return 1;
    return 0;
}

static int is_shift_sound(const zq_step *step, int32_t channels)
{
    if (!step->shift) return 0;
    for (int32_t c = 0; c < channels; c++)
        if (!within(step->shift[c], 1, 62)) return 0;
    return step->clip_lo <= step->clip_hi;
}

static int is_conv1d_sound(const zq_step *step, const zq_value *x, const zq_value *y)
{
    if (step->inputs != 1 || !step->weight || !step->bias || x->storage == ZQ_INT32) return 0;
    if (!within(step->kernel, 1, MAX_EXTENT) || !within(step->stride, 1, MAX_EXTENT)) return 0;
    if (!within(step->dilation, 1, MAX_EXTENT) || !within(step->padding, 0, MAX_EXTENT)) return 0;
    if (step->groups < 1 || x->channels % step->groups || y->channels % step->groups) return 0;
    const int64_t added = 2 * step->padding - (int64_t)step->dilation * (step->kernel - 1) - 1 + step->stride;
    if (y->stride != x->stride * step->stride || y->offset != x->offset + x->stride * added) return 0;
    return step->multiplier ? is_shift_sound(step, y->channels) : y->storage == ZQ_INT32;
}

static int is_step_sound(const zq_program *program, int32_t index)
{
    const zq_step *step = &program->steps[index];
    if (!step->x || !within(step->inputs, 1, MAX_COUNT) || !within(step->y, 0, program->values_count - 1)) return 0;
    const zq_value *y = &program->values[step->y];
    if (is_made_before(program, step->y, index)) return 0;
    for (int32_t i = 0; i < step->inputs; i++) {
        if (!is_made_before(program, step->x[i], index)) return 0;
        const zq_value *x = &program->values[step->x[i]];
        if (x->place == y->place) return 0; /* a step never writes over what it reads */
        if (step->op != ZQ_CONV1D && (x->offset != y->offset || x->stride != y->stride)) return 0;
        if (step->op == ZQ_SUM && x->channels != y->channels) return 0;
    }
    if (step->op == ZQ_CONV1D) return is_conv1d_sound(step, &program->values[step->x[0]], y);
    if (step->op == ZQ_SUM) return step->multiplier && is_shift_sound(step, y->channels);
    return step->op == ZQ_ARGMAX && step->inputs == 1 && y->channels == 1 && y->storage == ZQ_INT32;
}

zq_status zq_check(const zq_program *program, int32_t *step)
{
    *step = -1;
    if (!program->values || !program->steps || !within(program->values_count, 1, MAX_COUNT) ||
        !within(program->steps_count, 1, MAX_COUNT) || !within(program->slots_count, 0, MAX_COUNT) ||
        !within(program->outputs_count, 1, MAX_COUNT))
        return ZQ_BAD_PROGRAM;
    for (int32_t v = 0; v < program->values_count; v++)
        if (!is_value_sound(program, &program->values[v])) return ZQ_BAD_PROGRAM;
    for (*step = 0; *step < program->steps_count; ++*step)
        if (!is_step_sound(program, *step)) return ZQ_BAD_PROGRAM;
    return ZQ_OK;
}
