/* Threads that stay: one that has done its task sleeps until there is another one. A thread takes some 70 us to begin and
 * 50 to be joined; one that sleeps is awake after 5. */
#ifndef ZQ_THREADS_KEPT_H
#define ZQ_THREADS_KEPT_H

#include <stdint.h>

typedef void zq_task(void *argument);

/* Run task(argument) on another thread: one that sleeps, or a new one. *running is 1 more until the task has ended, and
 * nothing of it is touched from then on. False where no thread is to be had. Any thread may call this. */
int zq_start_task(zq_task *task, void *argument, int32_t *running);

/* Wait until *running is 0: for a moment awake, then asleep. */
void zq_wait_for_tasks(const int32_t *running);

/* For a moment nothing else is done here. */
static inline void zq_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

enum { ZQ_PAUSES = 1000 }; /* of who waits before it falls asleep: ten to fifty microseconds */

#endif
