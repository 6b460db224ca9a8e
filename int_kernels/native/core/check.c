/* Looks at a program once, before it ever runs: every index and size that the kernels trust (SPEC 6, 9). The
 * proofs about ranges (SPEC 5) are made where programs are built. */
#include "core/kernels.h"

enum { MAX_CHANNELS = 1 << 16, MAX_EXTENT = 1 << 15, MAX_LENGTH = 1 << 24, MAX_COUNT = 1 << 20, MAX_OFFSET = 1 << 16 };

static int within(int64_t number, int64_t lo, int64_t hi)
{
    return number >= lo && number <= hi;
}

static int is_code(const zq_value *value)
{
    return value->storage == ZQ_INT8 || value->storage == ZQ_UINT8;
}

static int is_code_or_int16(const zq_value *value)
{
    return value->storage != ZQ_INT32;
}

static int is_as_long(const zq_value *a, const zq_value *b)
{
    return a->length == b->length && a->offset == b->offset && a->stride == b->stride;
}

static int is_value_sound(const zq_program *program, const zq_value *value)
{
    if (!within(value->length, ZQ_LENGTH_FRAMES, ZQ_LENGTH_ONCE)) return 0;
    if (value->length == ZQ_LENGTH_ONCE && (value->offset || value->stride != 1)) return 0;
    return within(value->channels, 1, MAX_CHANNELS) && within(value->storage, ZQ_INT8, ZQ_INT16) &&
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

/* `count` multipliers with their shifts are there. */
static int is_ratio_sound(const zq_step *step, int32_t count, int32_t most)
{
    if (!step->multiplier || !step->shift) return 0;
    for (int32_t c = 0; c < count; c++)
        if (!within(step->shift[c], 1, most)) return 0;
    return step->clip_lo <= step->clip_hi;
}

static int is_convolution_sound(const zq_step *step, const zq_value *x, const zq_value *y)
{
    const zq_conv_params *conv = &step->params.conv;
    const int is_flat =
        conv->height == 1 && conv->kernel_height == 1 && conv->stride_height == 1 && conv->padding_height == 0;
    if (!conv->weight || !conv->bias || !is_code(x)) return 0;
    if (!within(conv->kernel, 1, MAX_EXTENT) || !within(conv->stride, 1, MAX_EXTENT)) return 0;
    if (!within(conv->dilation, 1, MAX_EXTENT) || !within(conv->padding, 0, MAX_EXTENT)) return 0;
    if (step->op == ZQ_CONV1D ? !is_flat : conv->dilation != 1) return 0;
    if (!within(conv->height, 1, MAX_CHANNELS) || !within(conv->kernel_height, 1, MAX_EXTENT)) return 0;
    if (!within(conv->stride_height, 1, MAX_EXTENT) || !within(conv->padding_height, 0, MAX_EXTENT)) return 0;
    if (conv->height + 2 * conv->padding_height < conv->kernel_height) return 0;
    if (conv->groups < 1 || x->channels % conv->height || x->channels / conv->height % conv->groups) return 0;
    const int32_t rows = zq_rows_out(step);
    if (y->channels % rows || y->channels / rows % conv->groups || y->length != x->length) return 0;
    if (x->length != ZQ_LENGTH_FRAMES && (conv->kernel != 1 || conv->stride != 1 || conv->padding != 0)) return 0;
    const int64_t added = 2 * conv->padding - (int64_t)conv->dilation * (conv->kernel - 1) - 1 + conv->stride;
    if (y->stride != x->stride * conv->stride || y->offset != x->offset + x->stride * added) return 0;
    return step->multiplier ? is_ratio_sound(step, y->channels / rows, 62) : y->storage == ZQ_INT32;
}

static int is_sum_sound(const zq_program *program, const zq_step *step, const zq_value *y)
{
    for (int32_t i = 0; i < step->inputs; i++) {
        const zq_value *x = &program->values[step->x[i]];
        if (x->channels != y->channels || !is_as_long(x, y)) return 0;
    }
    return is_ratio_sound(step, y->channels, 62);
}

static int is_multiply_sound(const zq_value *a, const zq_value *b, const zq_value *y)
{
    if (!is_code_or_int16(a) || !is_code_or_int16(b) || y->storage != ZQ_INT32) return 0;
    return a->channels == y->channels && b->channels == y->channels && is_as_long(a, y) &&
           (b->length == ZQ_LENGTH_ONCE || is_as_long(b, y));
}

static int is_lookup_sound(const zq_step *step, const zq_value *x, const zq_value *y)
{
    const zq_lookup_params *lookup = &step->params.lookup;
    if (!lookup->table || !is_code(x) || !is_code_or_int16(y)) return 0;
    if (x->storage == ZQ_UINT8 ? lookup->offset != 0 : !within(lookup->offset, 2, 128)) return 0;
    return x->channels == y->channels && is_as_long(x, y);
}

static int is_activation_sound(const zq_program *program, const zq_step *step, const zq_value *y)
{
    const zq_activation_params *activation = &step->params.activation;
    if (!within(activation->kind, ZQ_SIGMOID, ZQ_GLU) || step->inputs != 1 + (activation->kind == ZQ_GLU)) return 0;
    if (!within(activation->offset, -MAX_OFFSET, MAX_OFFSET) || !within(activation->shift, 1, 62)) return 0;
    if (activation->multiplier < 0 || !is_code_or_int16(y)) return 0;
    for (int32_t i = 0; i < step->inputs; i++) {
        const zq_value *x = &program->values[step->x[i]];
        if (x->channels != y->channels || !is_as_long(x, y)) return 0;
    }
    return is_ratio_sound(step, step->inputs * y->channels, 62);
}

static int is_layer_norm_sound(const zq_step *step, const zq_value *x, const zq_value *y)
{
    const zq_layer_norm_params *layer_norm = &step->params.layer_norm;
    const int32_t most = x->storage == ZQ_INT16 ? 1 << 10 : MAX_CHANNELS;
    if (!is_code_or_int16(x) || !is_code_or_int16(y) || x->channels > most || !layer_norm->bias) return 0;
    if (x->channels != y->channels || !is_as_long(x, y)) return 0;
    return within(layer_norm->epsilon, 1, (int64_t)1 << 60) && is_ratio_sound(step, y->channels, 62);
}

static int is_positions_sound(const zq_step *step, const zq_value *x, const zq_value *y)
{
    const zq_positions_params *positions = &step->params.positions;
    if (!positions->fine || !positions->coarse || !within(positions->blocks, 1, MAX_LENGTH) || y->channels % 2 ||
        y->storage != ZQ_INT8)
        return 0;
    return x->length == ZQ_LENGTH_FRAMES && y->length == ZQ_LENGTH_POSITIONS && x->offset == y->offset &&
           x->stride == y->stride;
}

static int is_attention_sound(const zq_program *program, const zq_step *step, const zq_value *y)
{
    const zq_attention_params *attention = &step->params.attention;
    if (!attention->content || !attention->position || !within(attention->shift, 1, 62) || attention->heads < 1 ||
        y->channels % attention->heads)
        return 0;
    if (step->inputs != 5 || !is_code_or_int16(y) || y->length != ZQ_LENGTH_FRAMES) return 0;
    for (int32_t i = 0; i < 5; i++) {
        const zq_value *x = &program->values[step->x[i]];
        if (!is_code(x) || x->channels != y->channels || x->offset != y->offset || x->stride != y->stride) return 0;
        if (x->length != (i == 4 ? ZQ_LENGTH_POSITIONS : ZQ_LENGTH_FRAMES)) return 0;
    }
    for (int32_t h = 0; h < attention->heads; h++)
        if (attention->content[h] < 0 || attention->position[h] < 0) return 0;
    return is_ratio_sound(step, y->channels, 62);
}

static int is_op_sound(const zq_program *program, const zq_step *step, const zq_value *x, const zq_value *y)
{
    if (step->op == ZQ_SUM) return is_sum_sound(program, step, y);
    if (step->op == ZQ_ACTIVATION) return is_activation_sound(program, step, y);
    if (step->op == ZQ_ATTENTION) return is_attention_sound(program, step, y);
    if (step->op == ZQ_MULTIPLY) return step->inputs == 2 && is_multiply_sound(x, &program->values[step->x[1]], y);
    if (step->inputs != 1) return 0;
    if (step->op == ZQ_CONV1D || step->op == ZQ_CONV2D) return is_convolution_sound(step, x, y);
    if (step->op == ZQ_LOOKUP) return is_lookup_sound(step, x, y);
    if (step->op == ZQ_LAYER_NORM) return is_layer_norm_sound(step, x, y);
    if (step->op == ZQ_POSITIONS) return is_positions_sound(step, x, y);
    if (step->op == ZQ_MEAN)
        return is_code(x) && is_code_or_int16(y) && y->length == ZQ_LENGTH_ONCE && x->channels == y->channels &&
               is_ratio_sound(step, y->channels, 40);
    return step->op == ZQ_ARGMAX && y->channels == 1 && y->storage == ZQ_INT32 && is_as_long(x, y);
}

static int is_step_sound(const zq_program *program, int32_t index)
{
    const zq_step *step = &program->steps[index];
    if (!step->x || !within(step->inputs, 1, MAX_COUNT) || !within(step->y, 0, program->values_count - 1)) return 0;
    const zq_value *y = &program->values[step->y];
    if (is_made_before(program, step->y, index)) return 0;
    for (int32_t i = 0; i < step->inputs; i++) {
        if (!is_made_before(program, step->x[i], index)) return 0;
        if (program->values[step->x[i]].place == y->place) return 0; /* a step never writes over what it reads */
    }
    return is_op_sound(program, step, &program->values[step->x[0]], y);
}

int32_t zq_interface(void)
{
    return ZQ_INTERFACE << 24 | ZQ_OP_TABLE_DIGEST;
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
