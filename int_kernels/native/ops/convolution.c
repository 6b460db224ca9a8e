/* What conv1d and conv2d state beside their kernels. */
#include "core/check.h"

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    const zq_conv_params *conv = &step->params.conv;
    const int is_flat =
        conv->height == 1 && conv->kernel_height == 1 && conv->stride_height == 1 && conv->padding_height == 0;
    if (!conv->weight || !conv->bias || !zq_is_code(x)) return 0;
    if (!zq_is_within(conv->kernel, 1, ZQ_MAX_EXTENT) || !zq_is_within(conv->stride, 1, ZQ_MAX_EXTENT)) return 0;
    if (!zq_is_within(conv->dilation, 1, ZQ_MAX_EXTENT) || !zq_is_within(conv->padding, 0, ZQ_MAX_EXTENT)) return 0;
    if (step->op == ZQ_CONV1D ? !is_flat : conv->dilation != 1) return 0;
    if (!zq_is_within(conv->height, 1, ZQ_MAX_CHANNELS) || !zq_is_within(conv->kernel_height, 1, ZQ_MAX_EXTENT))
        return 0;
    if (!zq_is_within(conv->stride_height, 1, ZQ_MAX_EXTENT) || !zq_is_within(conv->padding_height, 0, ZQ_MAX_EXTENT))
        return 0;
    if (conv->height + 2 * conv->padding_height < conv->kernel_height) return 0;
    if (conv->groups < 1 || x->channels % conv->height || x->channels / conv->height % conv->groups) return 0;
    const int32_t rows = zq_rows_out(step);
    if (y->channels % rows || y->channels / rows % conv->groups || y->length != x->length) return 0;
    if (x->length != ZQ_LENGTH_FRAMES && (conv->kernel != 1 || conv->stride != 1 || conv->padding != 0)) return 0;
    const int64_t added = 2 * conv->padding - (int64_t)conv->dilation * (conv->kernel - 1) - 1 + conv->stride;
    if (y->stride != x->stride * conv->stride || y->offset != x->offset + x->stride * added) return 0;
    return step->multiplier ? zq_is_rescale_sound(step, y->channels / rows, 62) : y->storage == ZQ_INT32;
}

static zq_kernel_kind choose_conv1d(const zq_program *program, const zq_step *step)
{
    return zq_is_depthwise(program, step) ? ZQ_KERNEL_CONV1D_DEPTHWISE : ZQ_KERNEL_CONV_DENSE;
}

static zq_kernel_kind choose_conv2d(const zq_program *program, const zq_step *step)
{
    return zq_is_depthwise(program, step) ? ZQ_KERNEL_CONV2D_DEPTHWISE : ZQ_KERNEL_CONV_DENSE;
}

const zq_op_entry zq_op_conv1d = {.check = check, .choose_kind = choose_conv1d};
const zq_op_entry zq_op_conv2d = {.check = check, .choose_kind = choose_conv2d};
