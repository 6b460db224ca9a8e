/* Attention with relative positions (SPEC 4): scores of one frame against all, their powers of two, the weighted
 * mean. */
#include "kernels.h"

enum { LARGEST_SCORE = 1 << 29 };

/* Per worker: the scores of one frame, later their powers. */
uint64_t zq_attention_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)program, (void)step;
    return (uint64_t)frames_y * 4;
}

/* products[j] = sum over the head's channels d of query[d, i] * keys[d, start + j], j < n. */
ZQ_INLINE void multiply(const zq_state *state, int32_t query, int32_t keys, int32_t first, int32_t last, int32_t i,
                        int32_t start, int32_t n, int32_t *restrict products)
{
    const zq_value *values = state->program->values;
    int32_t x[ZQ_TILE] = {0};
    for (int32_t j = 0; j < ZQ_TILE; j++) products[j] = 0;
    for (int32_t d = first; d < last; d++) {
        const int32_t q = zq_get(zq_row(state, query, d), values[query].storage, i);
        zq_load(zq_row(state, keys, d), values[keys].storage, start, n, x);
        for (int32_t j = 0; j < ZQ_TILE; j++) products[j] += q * x[j];
    }
}

/* scores[j] = s[i, j]; returns the greatest. */
ZQ_INLINE int32_t score(const zq_state *state, const zq_step *step, int32_t head, int32_t i, int32_t *restrict scores)
{
    const int32_t frames = state->frames[step->y], width = state->program->values[step->y].channels / step->groups;
    const int32_t first = head * width, last = first + width;
    const int64_t content = step->bias[head], position = step->bias[step->groups + head];
    int32_t most = -LARGEST_SCORE;
    for (int32_t j0 = 0; j0 < frames; j0 += ZQ_TILE) {
        const int32_t n = zq_min(ZQ_TILE, frames - j0);
        int32_t a[ZQ_TILE], b[ZQ_TILE];
        multiply(state, step->x[0], step->x[2], first, last, i, j0, n, a);
        multiply(state, step->x[1], step->x[4], first, last, i, frames - 1 - i + j0, n, b);
        for (int32_t j = 0; j < n; j++) {
            const int64_t sum = a[j] * content + b[j] * position;
            const int64_t s = zq_rounding_shift_right_half_up(sum, step->factor_shift);
            scores[j0 + j] = (int32_t)zq_saturate(s, -LARGEST_SCORE, LARGEST_SCORE);
            most = scores[j0 + j] > most ? scores[j0 + j] : most;
        }
    }
    return most;
}

/* scores[j] = e[i, j] in place of s[i, j]; returns their sum n[i]. */
ZQ_INLINE int64_t raise(int32_t frames, int32_t most, int32_t *restrict scores)
{
    int64_t total = 0;
    for (int32_t j = 0; j < frames; j++) {
        const int32_t t = zq_min(most - scores[j], ZQ_MOST_OCTAVES);
        scores[j] = (int32_t)zq_rounding_shift_right_half_up(zq_exp2_negative(t), (t >> 16) + 3);
        total += scores[j];
    }
    return total;
}

/* a[d, i] of SPEC 4. */
ZQ_INLINE int64_t weigh(const char *row, int32_t storage, int32_t frames, const int32_t *restrict powers)
{
    int64_t total = 0;
    for (int32_t j0 = 0; j0 < frames; j0 += ZQ_TILE) {
        const int32_t n = zq_min(ZQ_TILE, frames - j0);
        int32_t sum = 0, x[ZQ_TILE] = {0}; /* at most ZQ_TILE * 2^14 * 2^8 */
        zq_load(row, storage, j0, n, x);
        for (int32_t j = 0; j < n; j++) sum += powers[j0 + j] * x[j];
        total += sum;
    }
    return total;
}

ZQ_MULTIVERSION
void zq_attention(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *values = state->program->values, *y = &values[step->y], *v = &values[step->x[3]];
    const int32_t frames = state->frames[step->y], width = y->channels / step->groups;
    const int32_t tiles = zq_ceil_div(frames, ZQ_TILE);
    for (int32_t unit = first; unit < last; unit++) {
        const int32_t head = unit / tiles, tile = unit % tiles;
        for (int32_t i = tile * ZQ_TILE; i < zq_min((tile + 1) * ZQ_TILE, frames); i++) {
            const int32_t most = score(state, step, head, i, scratch);
            const int64_t total = raise(frames, most, scratch);
            for (int32_t d = head * width; d < (head + 1) * width; d++) {
                const int64_t sum = weigh(zq_row(state, step->x[3], d), v->storage, frames, scratch);
                const int64_t mean = zq_floor_div(sum * 32768 + total / 2, total);
                const int64_t scaled = zq_rounding_shift_right_half_up(mean * step->multiplier[d], step->shift[d]);
                const int32_t code = (int32_t)zq_saturate(scaled, step->clip_lo, step->clip_hi);
                zq_store(zq_row(state, step->y, d), y->storage, i, 1, &code);
            }
        }
    }
}
