/* Runs programs with expected results and compares every byte, for processors without Python: `run_trials FILE`.
 *
 * FILE is written by trials.py: the number of trials, then for each the size of its image, the number of pointers in
 * it, their offsets, and the image, whose pointers are relative to its start. Every dispatch table runs every trial
 * twice: in one call with packed weights, and unpacked, unit by unit, last unit first. All buffers that the kernels
 * read and write (except the unpacked weights) end at an inaccessible page. */
#define _DEFAULT_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/kernels.h"

typedef struct {
    zq_program program;
    const void *input;
    const void *const *expected;
    const int64_t *bytes; /* of each output */
    int64_t input_bytes, frames;
} trial;

typedef struct {
    char *start;
    size_t room;
    void *bytes; /* the last ones before the inaccessible page */
} guarded;

static void require(int is_true, const char *what)
{
    if (is_true) return;
    printf("%s\n", what);
    exit(1);
}

static guarded allocate(size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    guarded g = {mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), room + page,
                 NULL};
    require(g.start != MAP_FAILED && !mprotect(g.start + room, page, PROT_NONE), "no memory");
    g.bytes = g.start + room - size;
    memset(g.bytes, 0xA5, size);
    return g;
}

static void release(guarded g)
{
    munmap(g.start, g.room);
}

/* Run one trial once. Returns the number of its first wrong output, or -1. */
static int run(const trial *t, const zq_kernels *kernels, int in_units)
{
    enum { MOST = 64 };
    const int32_t outputs = t->program.outputs_count, frames = (int32_t)t->frames;
    const size_t values = (size_t)zq_values_bytes(&t->program, frames);
    const size_t size = values + (size_t)zq_scratch_bytes(&t->program, kernels, frames);
    guarded arena = allocate(size), input = allocate((size_t)t->input_bytes), results[MOST];
    void *pointers[MOST];
    int wrong = -1;
    require(outputs <= MOST, "too many outputs");
    memcpy(input.bytes, t->input, (size_t)t->input_bytes);
    for (int32_t i = 0; i < outputs; i++) pointers[i] = (results[i] = allocate((size_t)t->bytes[i])).bytes;
    if (in_units) {
        zq_state state;
        require(zq_prepare(&t->program, kernels, NULL, frames, input.bytes, pointers, arena.bytes, &state) == ZQ_OK,
                "not prepared");
        for (int32_t step = 0; step < t->program.steps_count; step++)
            for (int32_t unit = zq_units(kernels, &state, step); unit-- > 0;)
                zq_run_units(kernels, &state, step, unit, unit + 1, (char *)arena.bytes + values);
    } else {
        require(zq_run(&t->program, kernels, frames, input.bytes, pointers, arena.bytes, size) == ZQ_OK, "not run");
    }
    for (int32_t i = outputs; i-- > 0;) {
        if (memcmp(pointers[i], t->expected[i], (size_t)t->bytes[i])) wrong = i;
        release(results[i]);
    }
    release(input);
    release(arena);
    return wrong;
}

static void try_kernels(trial *t, const zq_kernels *kernels, int64_t number)
{
    zq_step *steps = (zq_step *)(uintptr_t)t->program.steps;
    guarded *packed = calloc((size_t)t->program.steps_count, sizeof *packed);
    require(packed != NULL, "no memory");
    for (int in_units = 1; in_units >= 0; in_units--) {
        for (int32_t s = 0; s < t->program.steps_count && !in_units; s++) {
            const size_t size = (size_t)zq_packed_bytes(&t->program, kernels, s);
            if (!size) continue;
            packed[s] = allocate(size);
            zq_pack(&t->program, kernels, s, packed[s].bytes);
            steps[s].packed = packed[s].bytes;
        }
        const int wrong = run(t, kernels, in_units);
        if (wrong < 0) continue;
        printf("trial %lld: output %d is wrong with %s%s\n", (long long)number, wrong, kernels->name,
               in_units ? ", unpacked" : "");
        exit(1);
    }
    for (int32_t s = 0; s < t->program.steps_count; s++) {
        if (packed[s].start) release(packed[s]);
        steps[s].packed = NULL;
    }
    free(packed);
}

static int64_t read_number(FILE *file)
{
    int64_t number;
    require(fread(&number, sizeof number, 1, file) == 1, "the file ends early");
    return number;
}

static trial *read_trial(FILE *file)
{
    const size_t size = (size_t)read_number(file), pointers = (size_t)read_number(file);
    int64_t *places = malloc(pointers * sizeof *places);
    char *image = NULL;
    require(places && !posix_memalign((void **)&image, 64, size), "no memory");
    require(fread(places, sizeof *places, pointers, file) == pointers, "the file ends early");
    require(fread(image, 1, size, file) == size, "the file ends early");
    for (size_t i = 0; i < pointers; i++) {
        int64_t offset;
        memcpy(&offset, image + places[i], sizeof offset);
        char *address = image + offset;
        memcpy(image + places[i], &address, sizeof address);
    }
    free(places);
    return (trial *)image;
}

int main(int count, char **arguments)
{
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
    require(file != NULL, "usage: run_trials FILE");
    const int64_t trials = read_number(file);
    for (int64_t number = 0; number < trials; number++) {
        trial *t = read_trial(file);
        int32_t step;
        require(zq_check(&t->program, &step) == ZQ_OK, "an unsound program");
        for (int32_t k = 0; zq_kernels_at(k); k++) try_kernels(t, zq_kernels_at(k), number);
        free(t);
    }
    for (int32_t k = 0; zq_kernels_at(k); k++) printf("%s %lld\n", zq_kernels_at(k)->name, (long long)trials);
    return 0;
}
