/* Thread pool (host only). It holds as many threads as ever worked at once; they end with the process. A forked child
 * starts with an empty pool. */
#define _POSIX_C_SOURCE 200809L
#include "host/thread_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

typedef struct thread {
    zq_task *task; /* NULL while asleep */
    void *argument;
    int32_t *running; /* atomic */
    pthread_cond_t woken;
    struct thread *next; /* in the list of sleeping threads */
} thread;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER; /* the last task of some caller */
static thread *asleep;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

static void forget_all(void)
{
    asleep = NULL;
    unlock();
}

static void prepare_for_forks(void)
{
    pthread_atfork(lock, unlock, forget_all);
}

static void *stay(void *argument)
{
    thread *const me = argument;
    for (;;) {
        me->task(me->argument);
        lock();
        if (__atomic_sub_fetch(me->running, 1, __ATOMIC_RELEASE) == 0) pthread_cond_broadcast(&ended);
        me->task = NULL;
        me->next = asleep;
        asleep = me;
        while (!me->task) pthread_cond_wait(&me->woken, &mutex);
        unlock();
    }
    return NULL;
}

/* All signals are blocked in pool threads, so the threads of the program itself receive them. */
static int start(thread *new)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t id;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0) return 0;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int is_started = pthread_create(&id, &attributes, stay, new) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

int zq_start_task(zq_task *task, void *argument, int32_t *running)
{
    pthread_once(&once, prepare_for_forks);
    __atomic_add_fetch(running, 1, __ATOMIC_RELAXED);
    lock();
    thread *t = asleep;
    if (t) {
        asleep = t->next;
        t->argument = argument;
        t->running = running;
        t->task = task;
    }
    unlock();
    if (t) {
        pthread_cond_signal(&t->woken);
        return 1;
    }
    t = malloc(sizeof *t);
    if (t) {
        *t = (thread){.task = task, .argument = argument, .running = running};
        pthread_cond_init(&t->woken, NULL);
        if (start(t)) return 1;
        pthread_cond_destroy(&t->woken);
        free(t);
    }
    __atomic_sub_fetch(running, 1, __ATOMIC_RELAXED);
    return 0;
}

void zq_wait_for_tasks(const int32_t *running)
{
    for (int32_t i = 0; i < ZQ_PAUSES; i++, zq_pause())
        if (__atomic_load_n(running, __ATOMIC_ACQUIRE) == 0) return;
    lock();
    while (__atomic_load_n(running, __ATOMIC_ACQUIRE) > 0) pthread_cond_wait(&ended, &mutex);
    unlock();
}
