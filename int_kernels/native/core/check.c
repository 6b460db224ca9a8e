/* Looks at a program once, before it ever runs: every index and size that the kernels trust (SPEC 6, 9). The
 * proofs about ranges (SPEC 5) are made where programs are built. */
#include "core/check.h"

enum { MAX_COUNT = 1 << 20 };

static int is_value_sound(const zq_program *program, const zq_value *value)
{
    if (!zq_is_within(value->length, ZQ_LENGTH_FRAMES, ZQ_LENGTH_ONCE)) return 0;
    if (value->length == ZQ_LENGTH_ONCE && (value->offset || value->stride != 1)) return 0;
    return zq_is_within(value->channels, 1, ZQ_MAX_CHANNELS) && zq_is_within(value->storage, ZQ_INT8, ZQ_INT16) &&
           zq_is_within(value->offset, -ZQ_MAX_LENGTH, ZQ_MAX_LENGTH) &&
           zq_is_within(value->stride, 1, ZQ_MAX_LENGTH) &&
           zq_is_within(value->place, ZQ_OUTPUT(program->outputs_count - 1), program->slots_count - 1);
}

/* The input, or what an earlier step makes. */
static int is_made_before(const zq_program *program, int32_t value, int32_t index)
{
    if (!zq_is_within(value, 0, program->values_count - 1)) return 0;
    if (program->values[value].place == ZQ_INPUT) return 1;
    for (int32_t s = 0; s < index; s++)
        if (program->steps[s].y == value) return 1;
    return 0;
}

static int is_step_sound(const zq_program *program, int32_t index)
{
    const zq_step *step = &program->steps[index];
    if (!step->x || !zq_is_within(step->inputs, 1, MAX_COUNT) || !zq_is_within(step->y, 0, program->values_count - 1))
        return 0;
    const zq_value *y = &program->values[step->y];
    if (is_made_before(program, step->y, index)) return 0;
    for (int32_t i = 0; i < step->inputs; i++) {
        if (!is_made_before(program, step->x[i], index)) return 0;
        if (program->values[step->x[i]].place == y->place) return 0; /* a step never writes over what it reads */
    }
    return zq_is_within(step->op, 0, ZQ_OP_COUNT - 1) && zq_ops[step->op]->check(program, step);
}

int32_t zq_interface(void)
{
    return ZQ_INTERFACE << 24 | ZQ_OP_TABLE_DIGEST;
}

zq_status zq_check(const zq_program *program, int32_t *step)
{
    *step = -1;
    if (!program->values || !program->steps || !zq_is_within(program->values_count, 1, MAX_COUNT) ||
        !zq_is_within(program->steps_count, 1, MAX_COUNT) || !zq_is_within(program->slots_count, 0, MAX_COUNT) ||
        !zq_is_within(program->outputs_count, 1, MAX_COUNT))
        return ZQ_BAD_PROGRAM;
    for (int32_t v = 0; v < program->values_count; v++)
        if (!is_value_sound(program, &program->values[v])) return ZQ_BAD_PROGRAM;
    for (*step = 0; *step < program->steps_count; ++*step)
        if (!is_step_sound(program, *step)) return ZQ_BAD_PROGRAM;
    return ZQ_OK;
}
